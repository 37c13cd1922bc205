# Runs that wait for their turn: what ends the waiting, and what becomes of them
# when the worker, the database, the extension or the server goes.  Background
# workers that are all taken are waited for.

use strict;
use warnings;

use PneumoTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('main', conf => "pneumo.max_queued_runs = 3\nmax_worker_processes = 8");
add_phantoms($node, 120);
my $slow = slow_config(epochs => 10000);
my ($status, $stdout, $stderr);

sub sql { return $node->safe_psql($_[1] // 'postgres', $_[0]); }

sub free { wait_until_free($node); }

sub training
{
	my ($run) = @_;
	wait_for($node, "SELECT phase = 'training' FROM pneumo.progress WHERE run = $run", "run $run to train");
}

sub queued
{
	my ($run, $db) = @_;
	wait_for($node, "SELECT state = 'queued' FROM pneumo.run WHERE id = $run", "run $run to be queued", $db);
}

sub pid_of { return sql("SELECT pid FROM pneumo.progress WHERE run = $_[0]"); }

# ------------------------------------------------------------------ limits

my $first = start_training($node, $slow);
training($first);
my @queue = map { start_training($node, tiny_config(name => "\"early $_\"")) } 1 .. 3;
queued($_) foreach @queue;
($status, $stdout, $stderr) = $node->psql('postgres', "\\set VERBOSITY verbose\nSELECT pneumo_train('xrays', \$\$$slow\$\$)");
like($stderr, qr/ERROR:  53400: no training can start: 1 runs are training and 3 are queued\nDETAIL:  At most 1 may train and 3 more wait, /,
	'the queue is bounded');
is(sql("SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'pneumo%' AND backend_xmin IS NOT NULL AND pid <> " . pid_of($first)),
	'0', 'a run that waits holds no snapshot');

# One role leaves the last place to another.
sql("SELECT pneumo_cancel($_), pneumo_wait($_)") foreach @queue;
sql('CREATE ROLE greedy; CREATE ROLE modest; GRANT EXECUTE ON FUNCTION pneumo_train(regclass, jsonb, boolean) TO greedy, modest;
	GRANT SELECT ON xrays TO greedy, modest');
sub asks
{
	my ($role, $name) = @_;
	return ($node->psql('postgres', "SET ROLE $role; SELECT pneumo_train('xrays', \$\$" . tiny_config(name => "\"$name\"") . "\$\$, wait => false)"))[2];
}
unlike(asks('greedy', "greedy $_"), qr/ERROR/, "run $_ of a role is queued") foreach 1, 2;
like(asks('greedy', 'greedy 3'), qr/ERROR:  no training can start: 1 runs are training and 2 are queued/, 'not the last place');
unlike(asks('modest', 'modest'), qr/ERROR/, 'which another role gets');
sql("SELECT pneumo_cancel(run), pneumo_wait(run) FROM pneumo.progress WHERE run <> $first");
@queue = map { start_training($node, tiny_config(name => "\"queued $_\"")) } 1 .. 3;
queued($_) foreach @queue;

# A queued run's name is taken.
sql('CREATE ROLE mallory; GRANT EXECUTE ON FUNCTION pneumo_train(regclass, jsonb, boolean) TO mallory; GRANT SELECT ON xrays TO mallory');
($status, $stdout, $stderr) = $node->psql('postgres',
	"SET ROLE mallory; SELECT pneumo_train('xrays', \$\$" . tiny_config(name => '"queued 1"') . "\$\$)");
like($stderr, qr/ERROR:  .*"queued 1"/, 'the name of a queued run is taken');

# ---------------------------------------------------- what ends the waiting

sql("SELECT pg_terminate_backend(" . pid_of($queue[0]) . ")");
wait_for($node, "SELECT state = 'interrupted' FROM pneumo.runs WHERE run = $queue[0]", 'the worker to leave');
is(sql("SELECT pneumo_resume($queue[0], wait => false)"), $queue[0], 'a run whose worker ended in the queue can be resumed');
queued($queue[0]);

$node->append_conf('postgresql.conf', 'pneumo.max_training_runs = 2');
$node->reload;
is(sql("SELECT pneumo_wait($queue[$_])"), 'succeeded', 'a higher pneumo.max_training_runs reaches those that wait') foreach 1, 2, 0;
is(sql("SELECT string_agg(model, ',' ORDER BY started) FROM pneumo.runs WHERE model LIKE 'queued%'"),
	'queued 2,queued 3,queued 1', 'in the order of their asking');
is(run_state($node, $first), 'running', 'the first one still trains');
$node->append_conf('postgresql.conf', 'pneumo.max_training_runs = 1');
$node->reload;
sleep 2;

# --------------------------------------------------- the database, the extension

sql('CREATE DATABASE other');
sql('CREATE EXTENSION pneumo', 'other');
add_phantoms($node, 40, db => 'other');
my $elsewhere = start_training($node, tiny_config(), db => 'other');
queued($elsewhere, 'other');
cmp_ok(timed(sub { sql('DROP DATABASE other') }), '<', 5, 'DROP DATABASE does not wait for a queued run');
is(sql("SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'pneumo%'"), '1', 'its worker has left');

sql('CREATE DATABASE other');
sql('CREATE EXTENSION pneumo', 'other');
add_phantoms($node, 40, db => 'other');
$elsewhere = start_training($node, tiny_config(), db => 'other');
queued($elsewhere, 'other');
sql('DROP EXTENSION pneumo', 'other');
wait_for($node, "SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type LIKE 'pneumo%'", 'the worker to leave');
pass('DROP EXTENSION ends a queued run');
sql('DROP DATABASE other');

# ---------------------------------------------------------------- deadlocks

my $blocker = $node->background_psql('postgres', on_error_stop => 0);
$blocker->query('BEGIN; LOCK TABLE pneumo.history IN SHARE MODE');
my $text = $blocker->query("SELECT pneumo_train('xrays', \$\$$slow\$\$)");
like($blocker->{stderr}, qr/ERROR:  the training worker waits for a lock that this transaction holds/,
	'a caller that the training one waits for does not wait for its turn');
$blocker->query('ROLLBACK');
$blocker->quit;

# ------------------------------------------------------------------- a crash

my $lost = start_training($node, tiny_config(name => '"lost"'));
queued($lost);
$node->stop('immediate');
$node->start;
is(run_state($node, $first) . ' ' . run_state($node, $lost), 'interrupted interrupted', 'a crash interrupts both');
is(sql("SELECT pneumo_resume($lost)"), $lost, 'the one that waited begins');
is(run_state($node, $lost), 'succeeded', 'and succeeds');

# --------------------------------------------- no background worker is free

$node->append_conf('postgresql.conf', "max_worker_processes = 2\nmax_parallel_workers = 2");
$node->restart;
$first = start_training($node, $slow);
training($first);

my $caller = $node->background_psql('postgres', on_error_stop => 0);
$caller->query_until(qr/started/,
	qq{\\echo started\nSELECT 'looked', split FROM pneumo_evaluate('xrays', 'lost', '{"split": "test"}');\n\\echo done\n});
wait_for($node, "SELECT wait_event_type = 'Extension' FROM pg_stat_activity WHERE query LIKE '%looked%' AND pid <> pg_backend_pid()",
	'a look to wait for a worker');
sql("SELECT pneumo_cancel($first)");
$caller->query_until(qr/asked/, "\\echo asked\n");
$caller->quit;
is(sql("SELECT count(*) FROM pneumo.look"), '1', 'a look waits until a worker is free');

$first = start_training($node, $slow);
training($first);
$caller = $node->background_psql('postgres', on_error_stop => 0);
$caller->query_until(qr/started/, "\\echo started\nSELECT pneumo_train('xrays', \$\$" . tiny_config(name => '"waited"') . "\$\$);\n");
wait_for($node, "SELECT wait_event_type = 'Extension' FROM pg_stat_activity WHERE query LIKE '%waited%' AND pid <> pg_backend_pid()",
	'a training to wait for a worker');
sql("SELECT pneumo_cancel($first)");
$caller->query_until(qr/asked/, "\\echo asked\n");
$caller->quit;
is(sql("SELECT state FROM pneumo.runs WHERE model = 'waited'"), 'succeeded', 'a training waits until a worker is free');
free();

$node->stop;
done_testing();
