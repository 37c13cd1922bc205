# Processes killed at random moments: the worker, a session that loads a model or
# scores, the leader of a parallel query, the postmaster; and stops of the server.
# Afterwards the scores are the same to the bit, every version's bytes have their
# SHA-256, no run is said to be running without a worker, and training works.

use strict;
use warnings;

use PneumoTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

my $n = $ENV{FAULTS} || 60;
my $node = new_node('main', conf => "restart_after_crash = on\nlog_min_messages = fatal");
add_phantoms($node, 60);
train($node, tiny_config());
my $expected = scores($node, 'tiny');
my @kinds = ('worker', 'session', 'parallel', 'postmaster', 'immediate', 'fast', 'terminate worker');
my %count;
srand(11);

sub start_load
{
	my ($sql) = @_;
	my ($out, $err) = ('', '');

	return IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-c', $sql ], '<', \undef, '>', \$out, '2>', \$err);
}

sub pid_like
{
	my ($condition) = @_;

	my ($status, $out) = $node->psql('postgres', "SELECT pid FROM pg_stat_activity WHERE $condition AND pid <> pg_backend_pid() LIMIT 1");
	return defined $out && $out =~ /^(\d+)$/ ? $1 : undef;
}

# Whether something becomes true within so many seconds.
sub wait_until
{
	my ($code, $seconds) = @_;
	my $end = time + $seconds;

	while (time < $end)
	{
		return 1 if eval { $code->() };
		usleep(200_000);
	}
	return 0;
}

my $survived = 0;
for my $i (1 .. $n)
{
	my $kind = $kinds[ $i % @kinds ];
	my $train = start_load("SELECT pneumo_train('xrays', '" . slow_config(name => "\"run$i\"", epochs => 200) . "')");
	my $score = start_load("SELECT pneumo_cache_clear(); SELECT sum(pneumo_predict(image, 'tiny')) FROM xrays, generate_series(1, 200)");
	my $parallel = start_load('SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0;'
		  . " SELECT sum(pneumo_predict(image, 'tiny')) FROM xrays x JOIN generate_series(1, 100) g ON true");

	usleep(int(rand(1_500_000)));
	my $worker = $kind =~ /worker/ ? pid_like("backend_type LIKE 'pneumo%'") : undef;
	my $session = $kind eq 'session' ? pid_like("query LIKE '%cache_clear%'") : undef;
	my $leader = $kind eq 'parallel' ? pid_like("query LIKE '%parallel_setup_cost%'") : undef;
	my $hit = 1;
	if ($kind eq 'worker' && $worker) { kill 'KILL', $worker; }
	elsif ($kind eq 'terminate worker' && $worker) { kill 'TERM', $worker; }
	elsif ($kind eq 'session' && $session) { kill 'KILL', $session; }
	elsif ($kind eq 'parallel' && $leader) { kill 'KILL', $leader; }
	elsif ($kind eq 'postmaster')
	{
		my @children = split ' ', `pgrep -P $node->{_pid}`;
		$node->kill9;
		# a session that computes sees at the end of its query that it is gone
		wait_until(sub { !grep { kill 0, $_ } @children }, 60) or diag('a child outlives the postmaster');
		$node->start;
	}
	elsif ($kind eq 'immediate') { $node->stop('immediate'); $node->start; }
	elsif ($kind eq 'fast') { $node->stop('fast'); $node->start; }
	else { $hit = 0; }
	eval { $_->kill_kill } for ($score, $parallel);
	next if !$hit;
	++$count{$kind};

	my $ready = wait_until(sub { ($node->psql('postgres', 'SELECT 1'))[0] == 0 }, 30);
	$node->psql('postgres', "SELECT pneumo_cancel(run) FROM pneumo.runs WHERE state IN ('running', 'queued')");
	eval { $train->finish };
	my $same = scores($node, 'tiny') eq $expected;
	my $bytes = $node->safe_psql('postgres', <<'SQL');
SELECT count(*) FROM pneumo.version v
	WHERE sha256 <> (SELECT sha256(string_agg(data, ''::bytea ORDER BY seqno)) FROM pneumo.chunk c WHERE c.sha256 = v.sha256)
SQL
	my $running = wait_until(
		sub { $node->safe_psql('postgres', "SELECT count(*) FROM pneumo.runs WHERE state IN ('running', 'queued')") eq '0' }, 30);
	my ($status) = $node->psql('postgres', "SELECT pneumo_train('xrays', '" . tiny_config(name => "\"again$i\"", epochs => 1) . "')");
	if ($ready && $same && $bytes eq '0' && $running && $status == 0) { ++$survived; }
	else { diag("$kind in round $i: ready $ready, same scores $same, wrong bytes $bytes, none running $running, trains again $status"); }
}
my $injected = 0;
$injected += $_ for values %count;
note('counted: ' . join(', ', map { "$_ $count{$_}" } sort keys %count) . "; $survived of $injected survived");
is($survived, $injected, "$injected faults survived");
cmp_ok($injected, '>=', int($n / 2), 'enough of them hit something');
$node->stop;
done_testing();
