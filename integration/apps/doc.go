// Package apps runs programs on the client libraries that people use, unmodified:
// one small program for each library, against redis-server and against
// raftredis, and through the death of a leader while they are at work.
//
// # A program
//
// It is told an address and a number of jobs. It tries the library's features once each,
// and ends with a status other than 0 if one does not do what it does with
// Redis. Then it adds its jobs one after the other and does them at the same time, and prints
// a line for each thing that happens:
//
//	acked ID        the library has said that the job is added
//	unsure ID WHY   the library has failed to add it: it may be there or not
//	ran ID          the job was done
//	ok              the last line: everything was as it should be
//
// It ends when its input does. The test closes it when every job that was acked has run, so
// a program cannot pass by ending early, and a job that is lost is a line that never
// comes. The test keeps the accounts; what a job is, the program's first comment says.
//
// # A program that follows the leader
//
// It is told several addresses, and writes a key for each job until its input ends, through a
// library that looks for the leader by itself in one of two dialects: Redis Cluster's or
// Sentinel's. It counts its jobs with ONCE as well, again and again until that has worked. Then it reads those
// keys that it was told are written, and the sum, which has to be exact. Meanwhile the leader dies,
// hands over, every node is restarted, and one is replaced by another with an address of its own; after each of these it has to write again
// soon after there is a new leader. The addresses are in the place of the one, the number of jobs does not
// matter, and the dialect follows:
//
//	(cd node && sleep 10 | node ioredis_failover.js 127.0.0.1:6379,127.0.0.1:6380 0 sentinel)
//
// # By hand
//
// The end of the input (Ctrl-D) ends a program; sleep stands for it here.
//
//	(cd go && sleep 10 | go run . asynq 127.0.0.1:6379 100)
//	(cd node && npm ci && sleep 10 | node bullmq.js 127.0.0.1:6379 100)
//	(cd python && sleep 10 | /usr/bin/python3 celery_app.py 127.0.0.1:6379 100)
//	(cd ruby && sleep 10 | /usr/bin/ruby sidekiq_app.rb 127.0.0.1:6379 100)
//
// The test of one library, or of one library against one target:
//
//	go test ./integration/apps -v -run TestApps/BullMQ
//	go test ./integration/apps -v -run 'TestApps/BullMQ/follower'
//
// What a program needs is a Debian package (python3-redis, python3-celery, python3-rq, ruby-redis,
// ruby-sidekiq), what npm ci installs in node/, or a requirement of the module in go/, which
// is one of its own so that the product's go.mod does not grow. The programs use Debian's
// /usr/bin/python3 and /usr/bin/ruby: another one does not see Debian's libraries.
package apps
