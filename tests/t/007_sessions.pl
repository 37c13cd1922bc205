# Fifty sessions predict with one copy of the weights and no thread of their own.

use strict;
use warnings;

use PneumoTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

plan skip_all => 'needs /proc' unless -r '/proc/self/smaps';

my $n = 50;
my $node = new_node('main');
add_phantoms($node, 60);
train($node, wide_config(name => '"wide"'));
my $bytes = $node->safe_psql('postgres', "SELECT bytes FROM pneumo.versions WHERE model = 'wide'");
cmp_ok($bytes, '>', 10_000_000, "a model of $bytes bytes");
my $expected = scores($node, 'wide');

my @sessions = map { $node->background_psql('postgres') } 1 .. $n;
my @pids = map { $_->query_safe('SELECT pg_backend_pid()') } @sessions;
my $different = 0;

$_->query_safe('SET extra_float_digits = 3') for @sessions;
for my $session (@sessions)
{
	$different++
	  if $session->query_safe("SELECT id, pneumo_predict(image, 'wide') FROM xrays WHERE id < 8 ORDER BY id") ne $expected;
}
is($different, 0, "$n sessions have the same scores");

# What the sessions map of dynamic shared memory, and what is theirs alone.
my ($shared_rss, $shared_pss, $private, $threads) = (0, 0, 0, 0);
for my $pid (@pids)
{
	my $in_shm = 0;

	open(my $smaps, '<', "/proc/$pid/smaps") or die "smaps of $pid: $!";
	while (my $line = <$smaps>)
	{
		if ($line =~ /^[0-9a-f]+-[0-9a-f]+ /) { $in_shm = $line =~ m{/dev/shm/PostgreSQL\.}; }
		elsif ($in_shm && $line =~ /^Rss:\s+(\d+) kB/) { $shared_rss += $1; }
		elsif ($in_shm && $line =~ /^Pss:\s+(\d+) kB/) { $shared_pss += $1; }
		elsif ($line =~ /^Private_Dirty:\s+(\d+) kB/) { $private += $1; }
	}
	close($smaps);
	open(my $status, '<', "/proc/$pid/status") or die "status of $pid: $!";
	while (my $line = <$status>)
	{
		$threads += $1 if $line =~ /^Threads:\s+(\d+)/;
	}
	close($status);
}
is($threads, $n, 'each has one thread');
my $megabytes = $bytes / 1024;
note("model $megabytes kB; all sessions together: Rss $shared_rss kB, Pss $shared_pss kB in dynamic shared memory; private $private kB");
cmp_ok($shared_rss, '>', 10 * $megabytes, 'many sessions have the weights mapped');
cmp_ok($shared_pss, '<', 2 * $megabytes, "and there is one copy ($shared_pss kB)");
cmp_ok($private / $n, '<', $megabytes, 'nobody has a copy of its own (' . int($private / $n) . ' kB each)');
is($node->safe_psql('postgres', "SELECT count(*) FROM pneumo.cache WHERE place = 'shared'"), '1', 'one entry of the cache');

# A dropped version is freed when its last user is gone.
$node->safe_psql('postgres', "SELECT pneumo_drop_model('wide')");
$_->quit for @sessions;
wait_for($node, "SELECT count(*) = 0 FROM pneumo.cache", 'the weights to be freed');
pass('a dropped model leaves shared memory');

$node->stop;
done_testing();
