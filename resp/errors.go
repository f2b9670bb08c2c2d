package resp

import (
	"strings"

	"github.com/raftredis/raftredis/store"
)

// loadingError is Redis's text and the reason behind it: clients look at the
// first word, people at the rest.
func loadingError(r store.Readiness) string {
	return errLoading + ": " + strings.ReplaceAll(r.Reason, "\n", " ")
}

// errSubscribed is the answer to what a RESP2 client that listens may not do.
func errSubscribed(name string) string {
	return "ERR Can't execute '" + name + "': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context"
}

// Error texts, byte for byte Redis's.
const (
	errNoAuth         = "NOAUTH Authentication required."
	errWrongPass      = "WRONGPASS invalid username-password pair or user is disabled."
	errNoPassword     = "ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?" //nolint:gosec // a text
	errExecAbort      = "EXECABORT Transaction discarded because of previous errors."
	errMasterDown     = "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'."
	errLoading        = "LOADING Redis is loading the dataset in memory"
	errNotInMulti     = "ERR Command not allowed inside a transaction"
	errMaxClients     = "ERR max number of clients reached"
	errNoConfigFile   = "ERR The server is running without a config file"
	errClientName     = "ERR Client names cannot contain spaces, newlines or special characters."
	errUnblocked      = "UNBLOCKED client unblocked via CLIENT UNBLOCK"
	errDebugForbidden = "ERR DEBUG command not allowed. If the enable-debug-command option is set to \"local\", you can run it from a local connection, otherwise you need to set this option in the configuration file, and then restart the server."
	errProtected      = "DENIED Redis is running in protected mode because protected mode is enabled and no password is set for the default user. In this mode connections are only accepted from the loopback interface. If you want to connect from external computers to Redis you may adopt one of the following solutions: 1) Just disable protected mode sending the command 'CONFIG SET protected-mode no' from the loopback interface by connecting to Redis from the same host the server is running, however MAKE SURE Redis is not publicly accessible from internet if you do so. Use CONFIG REWRITE to make this change permanent. 2) Alternatively you can just disable the protected mode by editing the Redis configuration file, and setting the protected mode option to 'no', and then restarting the server. 3) If you started the server manually just for testing, restart it with the '--protected-mode no' option. 4) Setup a an authentication password for the default user. NOTE: You only need to do one of the above things in order for the server to start accepting connections from the outside."
)
