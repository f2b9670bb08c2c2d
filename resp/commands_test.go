package resp

import (
	"bytes"
	"strings"
	"testing"
)

// What monitors and the slow log must not show.
func TestSecrets(t *testing.T) {
	drivers(t, func(t *testing.T, s *Server, l *single) {
		for call, want := range map[string]string{
			"auth secret":                              "auth *",
			"AUTH user secret":                         "AUTH * *",
			"hello":                                    "hello",
			"HELLO 3 AUTH user secret SETNAME x":       "HELLO 3 * * * * *",
			"acl setuser alice on >secret":             "acl setuser * * *",
			"acl getuser alice":                        "acl getuser alice",
			"config set requirepass secret timeout 1":  "config set requirepass * timeout 1",
			"CONFIG SET timeout 1 RequirePass secret":  "CONFIG SET timeout 1 RequirePass *",
			"config get requirepass":                   "config get requirepass",
			"migrate h 1 k 0 9 AUTH secret KEYS":       "migrate h 1 k 0 9 AUTH * KEYS",
			"migrate h 1 k 0 9 COPY AUTH2 user secret": "migrate h 1 k 0 9 COPY AUTH2 * *",
			"set auth secret":                          "set auth secret",
		} {
			argv := bytes.Fields([]byte(call))
			cm, _ := s.lookup(argv)
			var shown []string
			for i, a := range argv {
				if cm.hides(argv, i) {
					a = []byte("*")
				}
				shown = append(shown, string(a))
			}
			if got := strings.Join(shown, " "); got != want {
				t.Errorf("%s: shown as %s, want %s", call, got, want)
			}
		}
	})
}
