package main

import (
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"go.uber.org/zap/zapcore"
)

func TestFitClients(t *testing.T) {
	own := func(members int) int { return 30 + 10*(members-1) }
	for _, tt := range []struct {
		limit      uint64
		members    int
		maxclients string
		want, most int
		says, err  string
	}{
		{limit: 1 << 20, members: 1, maxclients: "10000", want: 10000, most: 1<<20 - 50},
		{limit: 10050, members: 1, maxclients: "10000", want: 10000, most: 10000},
		{limit: 1024, members: 1, maxclients: "10000", want: 974, most: 974, says: "requiring at least 10050 max file descriptors"},
		{limit: 1024, members: 5, maxclients: "10000", want: 954, most: 954, says: "maxclients has been reduced to 954"},
		{limit: 64, members: 1, maxclients: "10000", want: 34, most: 34, says: "Current maximum open files is 64."},
		{limit: 64, members: 3, maxclients: "10000", want: 14, most: 14, says: "because the hard limit is 64"},
		{limit: 64, members: 3, maxclients: "10", want: 10, most: 14},
		{limit: 30, members: 1, maxclients: "10000", err: "'ulimit -n' of 30 is not enough"},
	} {
		core, logged := observer.New(zapcore.WarnLevel)
		o, err := parseOptions([]string{"--maxclients", tt.maxclients}, nil)
		if err != nil {
			t.Fatal(err)
		}
		most, err := o.fitClients(zap.New(core), tt.limit, own, tt.members)
		switch {
		case tt.err != "":
			if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%+v: %v", tt, err)
			}
			continue
		case err != nil:
			t.Errorf("%+v: %v", tt, err)
		case o.front.MaxClients != tt.want || most != tt.most:
			t.Errorf("%+v: maxclients is %d, at most %d", tt, o.front.MaxClients, most)
		}
		var all []string
		for _, e := range logged.All() {
			all = append(all, e.Message)
		}
		if said := strings.Join(all, "\n"); (said == "") != (tt.says == "") || !strings.Contains(said, tt.says) {
			t.Errorf("%+v: it says %q", tt, said)
		}
	}
}
