package main

import (
	"fmt"
	"math"

	"go.uber.org/zap"
)

// minClients is how many clients Redis leaves in the poorest case. Members that may
// still join get descriptors only if that many clients have some, too.
const minClients = 32

// fitClients lowers maxclients to what the limit of open files allows beside the
// node's own files, which must never be the ones that are lacking: a snapshot could
// not be written, or the log not be continued, because clients sit idle. The
// messages are Redis's. It returns the most that maxclients may be set to.
func (o *options) fitClients(log *zap.Logger, limit uint64, own func(members int) int, members int) (most int, err error) {
	reserved := own(max(members, 3))
	if limit < uint64(reserved+minClients) {
		reserved = own(members)
	}
	most = math.MaxInt
	if limit < math.MaxInt32 {
		most = int(limit) - reserved
	}
	requested := o.front.MaxClients
	needed := int64(requested) + int64(reserved)
	if most >= requested {
		return most, nil
	}
	if most < 1 {
		return 0, fmt.Errorf("your current 'ulimit -n' of %d is not enough for the server to start, "+
			"please increase your open file limit to at least %d", limit, needed)
	}
	o.front.MaxClients = most
	log.Warn(fmt.Sprintf("You requested maxclients of %d requiring at least %d max file descriptors.", requested, needed))
	log.Warn(fmt.Sprintf("Server can't set maximum open files to %d because the hard limit is %d.", needed, limit))
	log.Warn(fmt.Sprintf("Current maximum open files is %d. maxclients has been reduced to %d to compensate for low ulimit. "+
		"If you need higher maxclients increase 'ulimit -n'.", limit, most))
	return most, nil
}
