package resp

import (
	"errors"
	"strconv"
	"strings"

	"go.uber.org/zap"

	"github.com/raftredis/raftredis/store"
	"github.com/raftredis/raftredis/store/command"
)

// replicated are the directives that are state: when a collection leaves its
// compact form must be the same on every node, so CONFIG SET of these is a write
// like any other, and CONFIG GET a read.
func (s *Server) replicated() []setting {
	var all []setting
	for _, l := range command.AllLimits() {
		e := &Extra{
			Name: l.Name,
			Get:  func() string { return strconv.FormatInt(s.limits()[l.Name], 10) },
			Set:  func(v string) error { return s.setLimit(l, v) },
		}
		all = append(all, setting{name: l.Name, alias: l.Alias, get: func(*Config) string { return e.Get() }, extra: e})
	}
	events := &Extra{Name: "notify-keyspace-events", Get: s.events, Set: s.setEvents}
	return append(all, setting{name: events.Name, get: func(*Config) string { return events.Get() }, extra: events})
}

// eventClasses takes the reply of command.GetEvents.
type eventClasses struct {
	command.Discard
	classes string
}

// BulkString takes the classes.
func (e *eventClasses) BulkString(s string) { e.classes = s }

func (s *Server) events() string {
	var e eventClasses
	r := s.store.BeginRead()
	defer r.End()
	r.Do(0, s.opts.Table.Internal(command.GetEvents), [][]byte{[]byte(command.GetEvents)}, &e)
	return e.classes
}

// WantEvents is WantLimits for notify-keyspace-events.
func (s *Server) WantEvents(want string, forming bool) {
	switch {
	case command.SameEvents(want, s.events()):
	case !forming:
		s.log.Warn("notify-keyspace-events of the options is not that of the cluster, which counts: CONFIG SET changes it for all members",
			zap.String("option", want), zap.String("cluster", s.events()))
	default:
		if err := s.setEvents(want); err != nil {
			s.log.Warn("notify-keyspace-events of the options could not be set: CONFIG SET does it", zap.Error(err))
		}
	}
}

// setEvents proposes which keyspace events are told: see setLimit.
func (s *Server) setEvents(classes string) error {
	if err := CheckEvents(classes); err != nil {
		return err
	}
	return s.change([][]byte{[]byte(command.SetEvents), []byte(classes)})
}

// CheckEvents checks a value of notify-keyspace-events as CONFIG SET does.
func CheckEvents(classes string) error {
	if !command.EventsOK(classes) {
		return errors.New(command.ErrEvents)
	}
	return nil
}

// limitValues takes the reply of command.GetLimits.
type limitValues struct {
	command.Discard
	name   string
	values map[string]int64
}

// BulkString takes a name.
func (v *limitValues) BulkString(s string) { v.name = s }

// Int takes its value.
func (v *limitValues) Int(n int64) { v.values[v.name] = n }

func (s *Server) limits() map[string]int64 {
	v := &limitValues{values: map[string]int64{}}
	r := s.store.BeginRead()
	defer r.End()
	r.Do(0, s.opts.Table.Internal(command.GetLimits), [][]byte{[]byte(command.GetLimits)}, v)
	return v.values
}

// outcome takes the reply of a write that the front itself asks for.
type outcome struct {
	command.Discard
	err string
}

// Error takes an error line.
func (o *outcome) Error(line string) { o.err = line }

// ParseLimit reads the value of a limit as CONFIG SET does.
func ParseLimit(l command.Limit, v string) (int64, error) {
	if l.Memory {
		return parseMemory(v, l.Min, l.Max)
	}
	return parseNumber(v, l.Min, l.Max)
}

// WantLimits is called by main, on a goroutine of its own, with the limits that
// options ask for. They are state: those of a cluster that this node is about to
// form are changed to what is asked for, those of any other only compared.
func (s *Server) WantLimits(want map[string]int64, forming bool) {
	have := s.limits()
	for _, l := range command.AllLimits() {
		n, ok := want[l.Name]
		if !ok || n == have[l.Name] {
			continue
		}
		if !forming {
			s.log.Warn("a limit of the options is not that of the cluster, which counts: CONFIG SET changes it for all members",
				zap.String("name", l.Name), zap.Int64("option", n), zap.Int64("cluster", have[l.Name]))
			continue
		}
		if err := s.setLimit(l, strconv.FormatInt(n, 10)); err != nil {
			s.log.Warn("a limit of the options could not be set: CONFIG SET does it", zap.String("name", l.Name), zap.Error(err))
		}
	}
}

// setLimit proposes the change: see change.
func (s *Server) setLimit(l command.Limit, v string) error {
	n, err := ParseLimit(l, v)
	if err != nil {
		return err
	}
	return s.change([][]byte{[]byte(command.SetLimits), []byte(l.Name), strconv.AppendInt(nil, n, 10)})
}

// change proposes an internal command and waits for its outcome: it must not be
// called on the goroutine of an event loop.
func (s *Server) change(argv [][]byte) error {
	var b store.Batch
	b.Write(0, s.opts.Table.Internal(string(argv[0])), argv)
	var o outcome
	doneC := make(chan struct{})
	s.store.Submit(&b, &o, func() { close(doneC) })
	<-doneC // at the latest when the proposal times out
	if o.err != "" {
		return errors.New(strings.TrimPrefix(o.err, "ERR "))
	}
	return nil
}
