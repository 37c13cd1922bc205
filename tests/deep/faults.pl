# Faults at random moments of training, scoring and evaluating: processes killed
# (the worker, one that is queued, one that counts a look, a session that loads a
# model, the leader of a parallel query, the postmaster), stops of the server,
# storms of cancels and reloads, and the source table or the extension dropped or
# altered.  Afterwards the scores are the same to the bit, every version's bytes
# have their SHA-256, no run is said to be running without a worker, and training
# works.

use strict;
use warnings;

use PneumoTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

my $n = $ENV{FAULTS} || 104;
my $node = new_node('main', conf => "restart_after_crash = on\nlog_min_messages = fatal\nmax_worker_processes = 16");
add_phantoms($node, 60);
train($node, tiny_config());
my $expected = scores($node, 'tiny');
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

# Sends a signal to a process that a condition on pg_stat_activity finds; whether there was one.
sub signal_to
{
	my ($signal, $condition, $tries) = @_;

	for (1 .. $tries // 1)
	{
		my $pid = pid_like($condition);
		return kill $signal, $pid if $pid;
		usleep(5_000);
	}
	return 0;
}

sub sql_done { return ($node->psql('postgres', $_[0], timeout => 60))[0] == 0; }

# What each kind of fault does; it returns whether it hit something.
my %fault = (
	'worker killed' => sub { signal_to('KILL', "backend_type = 'pneumo training' AND query NOT LIKE '%queued'") },
	'worker terminated' => sub { signal_to('TERM', "backend_type = 'pneumo training' AND query NOT LIKE '%queued'") },
	'queued worker killed' => sub { signal_to('KILL', "backend_type = 'pneumo training' AND query LIKE '%queued'") },
	'look worker killed' => sub { signal_to('KILL', "backend_type = 'pneumo look'", 200) },
	'session killed' => sub { signal_to('KILL', "query LIKE '%cache_clear%'") },
	'evaluation killed' => sub { signal_to('KILL', "query LIKE '%pneumo_evaluate%'") },
	'leader killed' => sub { signal_to('KILL', "query LIKE '%parallel_setup_cost%'") },
	'postmaster killed' => sub {
		my @children = split ' ', `pgrep -P $node->{_pid}`;

		$node->kill9;
		# a session that computes sees at the end of its query that it is gone
		wait_until(sub { !grep { kill 0, $_ } @children }, 60) or diag('a child outlives the postmaster');
		$node->start;
		return 1;
	},
	'immediate stop' => sub { $node->stop('immediate'); $node->start; return 1; },
	'fast stop' => sub { $node->stop('fast'); $node->start; return 1; },
	'cancels and reloads' => sub {
		for (1 .. 20)
		{
			$node->psql('postgres', "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pneumo%' AND pid <> pg_backend_pid() AND random() < 0.3;"
				  . ' SELECT pg_reload_conf()');
			usleep(int(rand(50_000)));
		}
		return 1;
	},
	'source dropped' => sub { return sql_done('DROP TABLE source') },
	'source altered' => sub { return sql_done('ALTER TABLE source ALTER image TYPE bigint USING id') },
);
my @kinds = sort keys %fault;
my %count;
my %survived;

for my $i (1 .. $n)
{
	my $kind = $kinds[ $i % @kinds ];
	$node->psql('postgres', 'DROP TABLE IF EXISTS source; CREATE TABLE source AS SELECT * FROM xrays');
	# a caller that waits holds a lock on its table, which it has looked at
	my @load = map { start_load($_) }
	  "SELECT pneumo_train('source', '" . slow_config(name => "\"run$i\"", epochs => 200) . "', wait => false)",
	  "SELECT pg_sleep(0.3); SELECT pneumo_train('xrays', '" . slow_config(name => "\"queued$i\"", epochs => 200) . "')",
	  "SELECT pneumo_cache_clear(); SELECT sum(pneumo_predict(image, 'tiny')) FROM xrays, generate_series(1, 200)",
	  'SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0;'
	  . " SELECT sum(pneumo_predict(image, 'tiny')) FROM xrays x JOIN generate_series(1, 100) g ON true",
	  "DO \$\$ BEGIN FOR i IN 1 .. 300 LOOP PERFORM pneumo_evaluate('xrays', 'tiny', '{\"split\": \"all\"}'); END LOOP; END \$\$";

	usleep(int(rand(1_500_000)));
	my $hit = $fault{$kind}->();
	my $train = shift @load;
	eval { $_->kill_kill } for @load;
	if ($hit)
	{
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
		if ($ready && $same && $bytes eq '0' && $running && $status == 0) { ++$survived{$kind}; }
		else { diag("$kind in round $i: ready $ready, same scores $same, wrong bytes $bytes, none running $running, trains again $status"); }
	}
	else
	{
		eval { $train->kill_kill };
	}
}
my ($injected, $survived) = (0, 0);
my @table;
for my $kind (@kinds)
{
	my ($hits, $lives) = ($count{$kind} // 0, $survived{$kind} // 0);
	push @table, "$kind $lives/$hits" if $hits;
	$injected += $hits;
	$survived += $lives;
}
note('counted: ' . join(', ', @table) . "; $survived of $injected survived");
is($survived, $injected, "$injected faults survived");
cmp_ok($injected, '>=', int($n / 2), 'enough of them hit something');
$node->stop;
done_testing();
