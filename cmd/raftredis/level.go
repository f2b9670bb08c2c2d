package main

import (
	"strconv"

	"github.com/raftredis/raftredis/store"
	"github.com/raftredis/raftredis/store/command"
)

// levelAuto is the value of cluster-level that keeps no level back.
const levelAuto = "auto"

// levelChoices are the values of cluster-level.
func levelChoices() []string {
	all := []string{levelAuto}
	for l := command.Level1; l <= command.Latest; l++ {
		all = append(all, formatLevel(l))
	}
	return all
}

func formatLevel(l command.Level) string {
	if l == 0 {
		return levelAuto
	}
	return strconv.FormatUint(uint64(l), 10)
}

// parseLevel reads one of levelChoices; 0 is levelAuto.
func parseLevel(choice string) command.Level {
	n, err := strconv.ParseUint(choice, 10, 64)
	if err != nil {
		return 0
	}
	return command.Level(n)
}

func (o *options) keptLevel() command.Level { return parseLevel(o.clusterLevel.value) }

// keepLevel is CONFIG SET cluster-level.
func keepLevel(s *store.Store, value string) error {
	v := oneOf{choices: levelChoices()}
	if err := v.Set(value); err != nil {
		return err
	}
	return s.KeepLevel(parseLevel(v.value))
}
