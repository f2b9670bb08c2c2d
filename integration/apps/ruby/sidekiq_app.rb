# Sidekiq: its server in a process of its own, which loads this file as well, and the client that
# gives it jobs: each feature once, and then jobs. See ../doc.go for what is printed.
require "sidekiq"
require "sidekiq/api"

# Sidekiq of this version calls its client in ways that the client's next version will not know.
Redis.silence_deprecations = true

URL = ENV["APPS_URL"] || "redis://#{ARGV[0]}/0"

Sidekiq.configure_client { |config| config.redis = { url: URL, size: 5 } }
Sidekiq.configure_server do |config|
  config.logger = Sidekiq::Logger.new($stderr, level: Logger::ERROR)
  config.redis = { url: URL }
  config.options[:poll_interval_average] = 0.3 # how often it looks for what is due
end

def say(event, *rest)
  $stdout.syswrite([event, *rest].join(" ").tr("\n", " ") + "\n")
end

class Work
  include Sidekiq::Worker
  sidekiq_options queue: "critical"

  def perform(id)
    say("ran", id)
  end
end

# Leaves what it was told in a list.
class Echo
  include Sidekiq::Worker

  def perform(text)
    Sidekiq.redis { |r| r.rpush("heard", text) }
  end
end

class FailTwice
  include Sidekiq::Worker
  sidekiq_options retry: 5

  def perform
    tries = Sidekiq.redis { |r| r.incr("tries") }
    raise "not yet" if tries < 3

    Echo.new.perform("third time")
  end
end

class Fail
  include Sidekiq::Worker
  sidekiq_options retry: 0

  def perform
    raise "never"
  end
end

def expect(what, got, want)
  raise "#{what}: got #{got.inspect}, want #{want.inspect}" if got != want
end

# Waits until the block returns something; the test's patience ends it if it never does.
def wait
  loop do
    v = yield
    return v if v

    sleep 0.01
  end
end

def hear(text)
  expect("heard", wait { Sidekiq.redis { |r| r.lpop("heard") } }, text)
end

def features
  wait { Sidekiq::ProcessSet.new.size == 1 }
  Echo.perform_async("at once")
  hear("at once")
  Echo.perform_in(0.5, "later")
  hear("later")
  FailTwice.perform_async
  wait do # by hand: its time has a random part
    Sidekiq::RetrySet.new.each(&:retry)
    Sidekiq.redis { |r| r.llen("heard") } == 1
  end
  hear("third time")
  Fail.perform_async
  wait { Sidekiq::DeadSet.new.size == 1 }
  expect("why it is dead", Sidekiq::DeadSet.new.first["error_message"], "never")

  # Many at once.
  expect("bulk", Echo.perform_bulk((1..50).map { |i| ["bulk #{i}"] }).size, 50)
  wait { Sidekiq.redis { |r| r.llen("heard") } == 50 }
  expect("all of them", Sidekiq.redis { |r| r.lrange("heard", 0, -1) }.uniq.size, 50)

  # One for tomorrow, found and deleted.
  jid = Echo.perform_in(86_400, "never")
  scheduled = Sidekiq::ScheduledSet.new
  expect("scheduled", scheduled.find_job(jid).args, ["never"])
  expect("deleted", scheduled.find_job(jid).delete, true)
  expect("scheduled then", scheduled.size, 0)
  expect("scan", Sidekiq::DeadSet.new.scan("Fail").to_a.size, 1)
  wait { Sidekiq::Stats.new.processed >= 56 }
  expect("stats", [Sidekiq::Stats.new.failed, Sidekiq::Stats.new.enqueued], [3, 0])
end

def produce(jobs)
  added = 0
  (0..).each do |i|
    return if added == jobs

    begin
      Work.perform_async(i)
      say("acked", i)
      added += 1
      sleep 0.005
    rescue StandardError => e
      say("unsure", i, e.class, e.message)
      sleep 0.1
    end
  end
end

if $PROGRAM_NAME == __FILE__
  server = spawn({ "APPS_URL" => URL }, "sidekiq", "-r", File.expand_path(__FILE__), "-c", "4", "-t", "5", "-q", "critical", "-q", "default")
  begin
    features
    produce(ARGV[1].to_i)
    $stdin.read # until the end of the input
    wait { Sidekiq::Queue.new("critical").size == 0 && Sidekiq::Workers.new.size == 0 }
  ensure
    Process.kill("TERM", server)
    Process.wait(server)
  end
  expect("the server's exit status", $?.exitstatus, 0)
  say("ok")
end
