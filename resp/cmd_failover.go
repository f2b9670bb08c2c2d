package resp

import (
	"context"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/raftredis/raftredis/store/command"
)

// Redis has three commands for a change of masters, and answers all of them before it
// has come to be. Here they are one thing: leadership is handed over. Nothing can be
// lost by it, so what Redis forces by FORCE is done without.
const (
	errNoAbort  = "ERR leadership is being handed over, which cannot be aborted: it has come to be or has failed within two election timeouts"
	errBusyFail = "ERR FAILOVER already in progress."
)

func failover() local {
	return local{spec: command.Spec{Name: "failover", Arity: -1, Flags: command.Admin | command.NoScript | command.Stale, Group: "server", Since: "6.2.0", Complexity: "O(1)",
		Summary: "Start a coordinated failover between this server and one of its replicas.", Syntax: "[TO host port [FORCE]] [ABORT] [TIMEOUT milliseconds]"},
		when: inOrder, run: (*conn).cmdFailover}
}

// handOver has leadership handed to a member, 0: to whoever suits, in the background. It
// reports false if that is going on already.
func (s *Server) handOver(to uint64, timeout time.Duration) bool {
	if !s.handing.CompareAndSwap(false, true) {
		return false
	}
	go func() { // it ends with the raft node at the latest
		defer s.handing.Store(false)
		ctx, cancel := context.WithTimeout(context.Background(), timeout)
		defer cancel()
		if err := s.cluster.Transfer(ctx, to); err != nil {
			s.log.Warn("failover", zap.Uint64("to", to), zap.Error(err))
		}
	}()
	return true
}

// failoverState is master_failover_state of INFO.
func (s *Server) failoverState() string {
	if s.handing.Load() {
		return "failover-in-progress"
	}
	return "no-failover"
}

// cmdFailover is sent to the master. Errors are in the order of Redis's.
func (c *conn) cmdFailover(argv [][]byte) {
	if c.srv.config().ClusterEnabled {
		c.enc.Error("ERR FAILOVER not allowed in cluster mode. Use CLUSTER FAILOVER command instead.")
		return
	}
	var host string
	var port, timeout int64
	var abort, force, named bool
	for i := 1; i < len(argv); i++ {
		more, ok := len(argv)-1-i, true
		switch {
		case command.EqualFold(argv[i], "timeout") && more >= 1 && timeout == 0:
			i++
			if timeout, ok = command.ParseInt(argv[i]); ok && timeout <= 0 {
				c.enc.Error("ERR FAILOVER timeout must be greater than 0")
				return
			}
		case command.EqualFold(argv[i], "abort") && len(argv) == 2:
			abort = true
		case command.EqualFold(argv[i], "to") && more >= 2 && !named:
			named, host = true, string(argv[i+1])
			port, ok = command.ParseInt(argv[i+2])
			i += 2
		case command.EqualFold(argv[i], "force") && !force:
			force = true
		default:
			c.enc.Error(command.ErrSyntax)
			return
		}
		if !ok {
			c.enc.Error(command.ErrNotInteger)
			return
		}
	}
	t := c.srv.topology()
	replicas := t.replicas()
	target := slices.IndexFunc(replicas, func(p place) bool {
		return (p.host == host || p.name == host) && (int64(p.port) == port || int64(p.tlsPort) == port)
	})
	switch busy := c.srv.handing.Load(); {
	case abort && busy:
		c.enc.Error(errNoAbort)
	case abort:
		c.enc.Error("ERR No failover in progress.")
	case busy:
		c.enc.Error(errBusyFail)
	case !t.leads():
		c.enc.Error("ERR FAILOVER is not valid when server is a replica.")
	case !slices.ContainsFunc(replicas, func(p place) bool { return p.up }):
		c.enc.Error("ERR FAILOVER requires connected replicas.")
	case force && (!named || timeout == 0):
		c.enc.Error("ERR FAILOVER with force option requires both a timeout and target HOST and IP.")
	case named && target < 0:
		c.enc.Error("ERR FAILOVER target HOST and PORT is not a replica.")
	case named && (!replicas[target].up || replicas[target].learner):
		c.enc.Error("ERR FAILOVER target replica is not online.")
	default:
		var to uint64
		if named {
			to = replicas[target].id
		}
		limit := adminTimeout
		if timeout > 0 {
			limit = time.Duration(min(timeout, limit.Milliseconds())) * time.Millisecond
		}
		if !c.srv.handOver(to, limit) {
			c.enc.Error(errBusyFail)
			return
		}
		c.enc.Status("OK")
	}
}

// cmdClusterFailover is sent to a replica, which is to be the master.
func (c *conn) cmdClusterFailover(argv [][]byte) {
	force, takeover := false, false
	if len(argv) > 3 {
		c.enc.Error(subcommandSyntax(argv[:2]))
		return
	}
	if len(argv) == 3 {
		force, takeover = command.EqualFold(argv[2], "force"), command.EqualFold(argv[2], "takeover")
		if !force && !takeover {
			c.enc.Error(command.ErrSyntax)
			return
		}
	}
	t := c.srv.topology()
	me := t.me()
	switch {
	case t.leads():
		c.enc.Error("ERR You should send CLUSTER FAILOVER to a replica")
	case me == nil || me.learner:
		c.enc.Error("ERR a learner cannot lead: RAFT PROMOTE makes it a voter once it has caught up")
	case t.master() == nil && takeover:
		c.enc.Error(errTakeover)
	case t.master() == nil && !force:
		c.enc.Error("ERR Master is down or failed, please use CLUSTER FAILOVER FORCE")
	case t.master() == nil && !t.quorum:
		c.enc.Error("ERR there is no majority that could elect a leader")
	case t.master() == nil:
		c.enc.Status("OK") // the majority elects one as it is
	default:
		c.srv.handOver(me.id, adminTimeout) // or another one has begun, and the answer is Redis's
		c.enc.Status("OK")
	}
}
