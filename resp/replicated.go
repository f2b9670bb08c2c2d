package resp

import (
	"errors"
	"strconv"
	"strings"

	"go.uber.org/zap"

	"github.com/raftredis/raftredis/resp/directive"
	"github.com/raftredis/raftredis/store"
	"github.com/raftredis/raftredis/store/command"
)

// StateDirectives are the limits, directives that are state: when a collection leaves its
// compact form must be the same on every node, and which keys are evicted, so CONFIG SET of these is a write
// like any other, and CONFIG GET a read. The state machine declares them, in the
// order of its snapshots; here they become directives like others.
func StateDirectives() []directive.Directive {
	var all []directive.Directive
	for _, l := range command.AllLimits() {
		d := directive.Directive{
			Name: l.Name, Alias: l.Alias, Owner: directive.State, Kind: directive.Number, Min: l.Min, Max: l.Max,
			Default: strconv.FormatInt(l.Default, 10), Summary: l.Summary,
		}
		switch {
		case l.Memory:
			d.Kind = directive.Memory
		case l.Names != nil:
			d.Kind, d.Values, d.Default = directive.Enum, l.Names, l.Names[l.Default]
		}
		all = append(all, d)
	}
	return all
}

// replicated joins the directives that are state with their values.
func (s *Server) replicated() []Setting {
	var all []Setting
	for _, d := range StateDirectives() {
		all = append(all, Setting{
			Directive: d,
			Get:       func() string { return d.Format(s.limits()[d.Name]) },
			Set: func(v string) error {
				n, err := d.Int(v)
				if err != nil {
					return err
				}
				return s.setLimit(d.Name, n)
			},
		})
	}
	return append(all, Setting{Directive: EventsDirective(), Get: s.events, Set: s.setEvents})
}

// EventsDirective is notify-keyspace-events: the one directive that is state and no
// limit.
func EventsDirective() directive.Directive {
	return directive.Directive{
		Name: "notify-keyspace-events", Owner: directive.State, Kind: directive.Text,
		Summary: "classes of events that are published: K or E for how, A or some of g$lshzxetdnm for what",
	}
}

func (s *Server) events() string { return string(s.internal(command.GetEvents)[0]) }

// internal runs an internal command that reads, and returns the values of its reply.
func (s *Server) internal(name string) [][]byte {
	var reply command.Recorded
	r := s.store.BeginRead()
	defer r.End()
	r.Do(0, s.opts.Table.Internal(name), [][]byte{[]byte(name)}, &reply)
	return reply.Values()
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

// limits are the values of all limits, by name.
func (s *Server) limits() map[string]int64 {
	values := s.internal(command.GetLimits)
	limits := make(map[string]int64, len(values)/2)
	for i := 0; i+1 < len(values); i += 2 {
		limits[string(values[i])], _ = command.ParseInt(values[i+1])
	}
	return limits
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
		if err := s.setLimit(l.Name, n); err != nil {
			s.log.Warn("a limit of the options could not be set: CONFIG SET does it", zap.String("name", l.Name), zap.Error(err))
		}
	}
}

// setLimit proposes the change: see change.
func (s *Server) setLimit(name string, n int64) error {
	return s.change([][]byte{[]byte(command.SetLimits), []byte(name), strconv.AppendInt(nil, n, 10)})
}

// change proposes an internal command and waits for its outcome: it must not be
// called on the goroutine of an event loop.
func (s *Server) change(argv [][]byte) error {
	var b store.Batch
	b.Write(0, s.opts.Table.Internal(string(argv[0])), argv)
	var reply command.Recorded
	doneC := make(chan struct{})
	s.store.Submit(&b, &reply, func() { close(doneC) })
	<-doneC // at the latest when the proposal times out
	if line := reply.Err(); line != "" {
		return errors.New(strings.TrimPrefix(line, "ERR "))
	}
	return nil
}
