# Writes on and on with redis-rb, which looks for the leader by itself in the dialect of Sentinel.
require "redis"

HOSTS = ARGV[0].split(",").map { |a| a.rpartition(":").then { |host, _, port| { host: host, port: port.to_i } } }

client = Redis.new(url: "redis://mymaster", sentinels: HOSTS, role: :master, timeout: 1, reconnect_attempts: 1)

def say(event, *rest)
  $stdout.syswrite([event, *rest].join(" ").tr("\n", " ") + "\n")
end

def expect(what, got, want)
  raise "#{what}: got #{got.inspect}, want #{want.inspect}" if got != want
end

ending = false
Thread.new { $stdin.read; ending = true }

acked = []
jobs = 0
until ending
  # Counted, too, in a way that can be repeated until it has worked.
  begin
    client.call("ONCE", "count:#{jobs}", 600_000, "INCR", "count")
  rescue StandardError
    sleep 0.02
    retry
  end
  begin
    client.set("job:#{jobs}", jobs)
    say("acked", jobs)
    acked << jobs
    sleep 0.005
  rescue StandardError => e
    say("unsure", jobs, e.class, e.message)
    sleep 0.02
  end
  jobs += 1
end
acked.each do |i|
  expect("get", client.get("job:#{i}"), i.to_s)
  say("ran", i)
end
expect("the count", client.get("count"), jobs.to_s)
say("ok")
