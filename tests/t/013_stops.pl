# What ends a training, and what does not: timeouts of caller, role and
# database; cancel and terminate in each phase; the three shutdowns; limits.

use strict;
use warnings;

use PneumoTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('main', conf => "max_prepared_transactions = 2\nmax_worker_processes = 2\nmax_parallel_workers = 2\npneumo.max_queued_runs = 0");
add_phantoms($node, 120);
my $tiny = tiny_config();
my $slow = slow_config();
my ($status, $stdout, $stderr);

sub sql { return $node->safe_psql('postgres', $_[0]); }

sub free { wait_until_free($node); }

sub last_state { return sql('SELECT state FROM pneumo.runs ORDER BY run DESC LIMIT 1'); }

# --------------------------------------------------------------- timeouts
# Those of role and database hold for the caller, not for the worker.

sql(q{ALTER ROLE CURRENT_USER SET lock_timeout = '100ms';
	ALTER ROLE CURRENT_USER SET statement_timeout = '5s';
	ALTER DATABASE postgres SET idle_in_transaction_session_timeout = '3s';
	ALTER DATABASE postgres SET idle_session_timeout = '10s'});
my $run = sql("BEGIN; SELECT pneumo_train('xrays', \$\$$tiny\$\$, wait => false); SELECT pg_sleep(0.6); COMMIT")
  =~ s/\n.*//sr;
is(sql("SELECT pneumo_wait($run)"), 'succeeded', 'lock_timeout of the role: the worker waits for its caller all the same');
$run = start_training($node, slow_config(epochs => 10000));
wait_for($node, "SELECT phase = 'training' FROM pneumo.progress", 'training to begin');
sleep 6;
is(run_state($node, $run), 'running', 'statement_timeout of the role does not end a run that nobody waits for');
sql("SELECT pneumo_cancel($run)");
free();
($status, $stdout, $stderr) =
  $node->psql('postgres', "SET statement_timeout = '1s'; SELECT pneumo_train('xrays', \$\$$slow\$\$)");
like($stderr, qr/ERROR:  canceling statement due to statement timeout/, 'statement_timeout of the caller ends both');
free();
is(last_state(), 'cancelled', 'the run is cancelled');
sql('ALTER ROLE CURRENT_USER RESET ALL; ALTER DATABASE postgres RESET ALL');

# lock_timeout of a caller whose training waits for somebody else's lock: the
# caller itself waits for no lock.
my $blocker = $node->background_psql('postgres');
$blocker->query_safe('BEGIN; LOCK TABLE xrays IN ACCESS EXCLUSIVE MODE');
($status, $stdout, $stderr) =
  $node->psql('postgres', "SET lock_timeout = '300ms'; SELECT pneumo_train('xrays', \$\$$tiny\$\$)");
like($stderr, qr/ERROR:  canceling statement due to lock timeout/, 'lock_timeout of the caller, while it checks the table');
$blocker->query_safe('COMMIT');

# A prepared transaction is no commit.
$run = sql("BEGIN; SELECT pneumo_train('xrays', \$\$$tiny\$\$, wait => false); PREPARE TRANSACTION 'later'") =~ s/\n.*//sr;
is(sql("SELECT pg_sleep(0.5); SELECT phase FROM pneumo.progress WHERE run = $run") =~ s/^\n//r, 'queued',
	'a run whose caller is a prepared transaction waits');
sql("COMMIT PREPARED 'later'");
is(sql("SELECT pneumo_wait($run)"), 'succeeded', 'and starts when that commits');
$run = sql("BEGIN; SELECT pneumo_train('xrays', \$\$$tiny\$\$, wait => false); PREPARE TRANSACTION 'never'") =~ s/\n.*//sr;
sql("ROLLBACK PREPARED 'never'");
free();
is(sql("SELECT count(*) FROM pneumo.runs WHERE run = $run"), '0', 'or never was');

# ------------------------------------------------- cancel and terminate
# Each phase is held: reading by a view that dawdles, storing by a lock.

sql('CREATE VIEW dawdling AS SELECT id, patient, label, image FROM xrays WHERE pg_sleep(0.02) IS NOT NULL');

sub in_phase
{
	my ($phase, $table, $config) = @_;

	my $r = start_training($node, $config, table => $table);
	wait_for($node, "SELECT phase = '$phase' FROM pneumo.progress WHERE run = $r", "phase $phase");
	return $r;
}

foreach my $case (['pg_cancel_backend', 'cancelled'], ['pg_terminate_backend', 'interrupted'])
{
	my ($function, $expected) = @$case;
	my $end = "SELECT $function(pid) FROM pg_stat_activity WHERE backend_type LIKE 'pneumo%'";

	$run = in_phase('reading images', 'dawdling', $tiny);
	sql($end);
	free();
	is(run_state($node, $run), $expected, "$function while it reads");

	$run = in_phase('training', 'xrays', $slow);
	sql($end);
	free();
	is(run_state($node, $run), $expected, "$function while it trains");

	$blocker->query_safe('BEGIN; LOCK TABLE pneumo.version IN EXCLUSIVE MODE');
	$run = in_phase('storing the version', 'xrays', $tiny);
	sql($end);
	if ($expected eq 'cancelled')
	{
		# Too late: what is learned is stored.
		sleep 1;
		$blocker->query_safe('COMMIT');
		free();
		is(run_state($node, $run), 'succeeded', "$function while it stores");
		is(sql("SELECT count(*) FROM pneumo.versions WHERE run = $run"), '1', 'the version is there');
		next;
	}
	free();
	is(run_state($node, $run), $expected, "$function while it stores");
	$blocker->query_safe('COMMIT');
	is(sql("SELECT count(*) FROM pneumo.versions WHERE run = $run"), '0', 'no half a version');
	my ($checkpoint) = glob($node->data_dir . "/pneumo/*/pgsql_tmp_run_$run.checkpoint");
	is(sql("SELECT pneumo_resume($run)"), $run, 'and the run can be resumed') if $checkpoint;
}

# The caller, in each phase.
foreach my $case (['reading images', 'dawdling', $tiny], ['training', 'xrays', $slow], ['storing the version', 'xrays', $tiny])
{
	my ($phase, $table, $config) = @$case;
	my $caller = $node->background_psql('postgres', on_error_stop => 0);
	my $pid = $caller->query('SELECT pg_backend_pid()');

	$blocker->query_safe('BEGIN; LOCK TABLE pneumo.version IN EXCLUSIVE MODE') if $phase =~ /storing/;
	$caller->query_until(qr/started/, "\\echo started\nSELECT pneumo_train('$table', \$\$$config\$\$);\n");
	wait_for($node, "SELECT phase = '$phase' FROM pneumo.progress", "phase $phase");
	sql("SELECT pg_terminate_backend($pid)");
	$blocker->query_safe('SELECT pg_sleep(1); COMMIT') if $phase =~ /storing/;
	free();
	is(last_state(), $phase =~ /storing/ ? 'succeeded' : 'cancelled', "the caller is terminated: $phase");
	$caller->{run}->kill_kill;
}
is(sql("SELECT count(*) FROM pg_locks l JOIN pg_class c ON c.oid = l.relation WHERE relname IN ('run', 'version', 'model')"), '0', 'nothing stays locked');

# ---------------------------------------------------------------- limits

$run = in_phase('training', 'xrays', $slow);
($status, $stdout, $stderr) = $node->psql('postgres', "\\set VERBOSITY verbose\nSELECT pneumo_train('xrays', \$\$$tiny\$\$)");
like($stderr, qr/ERROR:  53400: no training can start: 1 runs are training and 0 are queued\nDETAIL:  .* Run $run of this database is yours\./,
	'pneumo.max_training_runs');
$node->append_conf('postgresql.conf', 'pneumo.max_training_runs = 8');
$node->reload;
wait_for($node, q{SELECT (SELECT count(*) FROM pneumo.models) >= 0 AND current_setting('pneumo.max_training_runs', true) = '8'}, 'the reload');
# One of the two workers is the server's own (logical replication).
($status, $stdout, $stderr) = $node->psql('postgres', "\\set VERBOSITY verbose\nSELECT pneumo_train('xrays', \$\$$tiny\$\$)");
like($stderr, qr/ERROR:  53400: no training can start: no background worker is free\n.*HINT:  .*max_worker_processes/s, 'max_worker_processes');
is(sql('SELECT count(*) FROM pneumo.progress'), '1', 'the slot of the one that could not start is free');
sql("SELECT pneumo_cancel($run)");
free();

# -------------------------------------------------------------- shutdowns

$blocker->quit;

foreach my $mode ('smart', 'immediate')
{
	$run = in_phase('training', 'xrays', $slow);
	wait_for_epoch($node, $run, 1);
	my $seconds = timed(sub { $node->stop($mode) });
	cmp_ok($seconds, '<', 10, "$mode shutdown does not wait for a training ($seconds)");
	$node->start;
	is(run_state($node, $run), 'interrupted', "$mode shutdown interrupts it");
}


# -------------------------------------------------------- a long session
# One backend does not grow with the number of its predictions.

sub rss
{
	my ($session, $pid) = @_;
	my ($kb) = slurp_file("/proc/$pid/status") =~ /RssAnon:\s+(\d+)/;
	return $kb;
}

SKIP:
{
	skip 'no /proc', 2 unless -e '/proc/self/status';
	train($node, $tiny);
	my $session = $node->background_psql('postgres');
	my $pid = $session->query('SELECT pg_backend_pid()');
	my $many = "SELECT count(pneumo_predict(image, 'tiny')) FROM xrays, generate_series(1, %d) WHERE id < 10";

	$session->query_safe(sprintf($many, 10));
	$session->query_safe("SELECT pneumo_predict(image, 'tiny') FROM xrays WHERE id = 1") for 1 .. 20;
	my $before = rss($session, $pid);
	$session->query_safe(sprintf($many, 300));
	$session->query_safe("DO \$\$ BEGIN FOR i IN 1 .. 1000 LOOP EXECUTE 'SELECT pneumo_predict(image, ''tiny'') FROM xrays WHERE id = 1'; END LOOP; END \$\$");
	$session->query_safe("SELECT pneumo_predict(image, 'tiny') FROM xrays WHERE id = 1") for 1 .. 100;
	my $grown = rss($session, $pid) - $before;
	cmp_ok($grown, '<', 1024, "4000 predictions grow the session by $grown kB");
	$session->quit;
}

$node->stop;
done_testing();
