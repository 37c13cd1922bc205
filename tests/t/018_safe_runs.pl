# What must not harm a run, or be harmed by one: two resumptions at a time,
# cancels at the end, forgetting that is rolled back, a database that somebody
# wants for himself, a disk that fills, a server that goes away.

use strict;
use warnings;

use PneumoTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $node = new_node('main', streaming => 1, conf => 'pneumo.max_training_runs = 8');
add_phantoms($node, 160);
my ($status, $stdout, $stderr);
my $slow = slow_config();

sub sql { return $node->safe_psql($_[1] // 'postgres', $_[0]); }

sub free { wait_until_free($node); }

sub checkpoint_of
{
	my ($run) = @_;
	my ($file) = glob($node->data_dir . "/pneumo/*/pgsql_tmp_run_$run.checkpoint");
	return $file // '';
}

# Starts a run, cancels it after its first epoch; returns it.
sub cancelled_run
{
	my $run = start_training($node, $_[0] // $slow);
	wait_for_epoch($node, $run, 1);
	sql("SELECT pneumo_cancel($run)");
	free();
	return $run;
}

# ------------------------------------------------------- two resumptions

my $run = cancelled_run();
for my $round (1 .. 3)
{
	my @caller = map { $node->background_psql('postgres', on_error_stop => 0) } 1 .. 6;

	$_->query_until(qr/started/, "\\echo started\nSELECT 'resumed', pneumo_resume($run, wait => false);\n\\echo done\n") foreach @caller;
	$_->query_until(qr/asked/, "\\echo asked\n") foreach @caller;
	$_->quit foreach @caller;
	wait_for($node, "SELECT count(*) = 1 FROM pneumo.progress WHERE run = $run", 'one worker');
	is(sql("SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'pneumo%'"), '1', "six resumptions at a time: one starts ($round)");
	($status, $stdout, $stderr) = $node->psql('postgres', "\\set VERBOSITY verbose\nSELECT pneumo_resume($run)");
	like($stderr, qr/ERROR:  55006: training run $run is running/, 'another is refused');
	sql("SELECT pneumo_cancel($run)");
	free();
	is(run_state($node, $run), 'cancelled', 'and the run ends as one');
}
unlike(slurp_file($node->logfile), qr/concurrently updated/, 'nobody else wrote its rows');

# ----------------------------------------------------- forgetting, rolled back

my $file = checkpoint_of($run);
ok(-e $file, 'a cancelled run has a checkpoint');
sql("BEGIN; SELECT pneumo_forget($run); ROLLBACK");
ok(-e $file, 'ROLLBACK of pneumo_forget keeps it');
sql("BEGIN; SAVEPOINT s; SELECT pneumo_forget($run); ROLLBACK TO s; SAVEPOINT t; RELEASE t; COMMIT");
ok(-e $file, 'ROLLBACK TO a savepoint, too');
is(sql("SELECT pneumo_resume($run, wait => false)"), $run, 'and the run can be resumed');
wait_for($node, "SELECT phase = 'training' FROM pneumo.progress WHERE run = $run", 'the run to continue');

# --------------------------------------------------------- cancelled twice

my $blocker = $node->background_psql('postgres');
$blocker->query_safe('BEGIN; LOCK TABLE pneumo.version IN EXCLUSIVE MODE');
sql("SELECT pneumo_cancel($run)");
wait_for($node, "SELECT phase = 'storing the version' FROM pneumo.progress WHERE run = $run", 'the version to be stored');
is(sql("SELECT pneumo_cancel($run)"), 't', 'a second cancel');
sql("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE backend_type LIKE 'pneumo%'");
usleep(300_000);
$blocker->query_safe('COMMIT');
free();
is(sql("SELECT state, (SELECT count(*) FROM pneumo.versions v WHERE v.run = r.run AND deployed IS FALSE) FROM pneumo.runs r WHERE run = $run") =~ s/\|[1-9]\d*$/|kept/r,
	'cancelled|kept', 'does not lose the version that the first one keeps');

$blocker->query_safe('BEGIN; LOCK TABLE pneumo.version IN EXCLUSIVE MODE');
my $late = start_training($node, tiny_config(name => '"late"'));
wait_for($node, "SELECT phase = 'storing the version' FROM pneumo.progress WHERE run = $late", 'the version to be stored');
sql("SELECT pneumo_cancel($late)");
usleep(300_000);
$blocker->query_safe('COMMIT');
$blocker->quit;
free();
is(sql("SELECT state, (SELECT count(*) FROM pneumo.versions v WHERE v.run = r.run) FROM pneumo.runs r WHERE run = $late"),
	'succeeded|1', 'a cancel at the end comes too late');

sql("BEGIN; SAVEPOINT s; SELECT pneumo_forget($run); RELEASE s; COMMIT");
ok(!-e $file, 'COMMIT of pneumo_forget removes the checkpoint');

# ---------------------------------------- what a cancelled caller is told

my $caller = $node->background_psql('postgres', on_error_stop => 0);
($status, $stdout, $stderr) = $node->psql('postgres', "SET statement_timeout = '2s'; SELECT pneumo_train('xrays', \$\$$slow\$\$)");
free();
$run = sql('SELECT max(run) FROM pneumo.runs');
like($stderr, qr/statement timeout\nDETAIL:  Training run $run is cancelled with it; what it has learned is kept.\nHINT:  Continue it with SELECT pneumo_resume\($run\)/,
	'statement_timeout: what becomes of the run');
$caller->quit;
sql("SELECT pneumo_forget($run)");

# ------------------------------------------------------------ base backups

$run = cancelled_run();
ok(-e checkpoint_of($run), 'a checkpoint');
$node->backup('copy');
is(join(' ', glob($node->backup_dir . '/copy/pneumo/*/*')), '', 'is not in a base backup');
sql("SELECT pneumo_forget($run)");

# ------------------------------------------- the database for oneself

sql('CREATE DATABASE clinic');
sql('CREATE EXTENSION pneumo', 'clinic');
add_phantoms($node, 160, db => 'clinic');

my @change = (epochs => 40, image_size => '[64, 64]', layers => PneumoTest::layers(24, 16));
$run = start_training($node, tiny_config(@change), db => 'clinic');
wait_for_epoch($node, $run, 2, 'clinic');
my $seconds = timed(sub { sql('ALTER DATABASE clinic RENAME TO hospital') });
cmp_ok($seconds, '<', 5, "ALTER DATABASE … RENAME during a training ($seconds)");
is(sql("SELECT state FROM pneumo.runs WHERE run = $run", 'hospital'), 'interrupted', 'interrupts it');
is(sql("SELECT pneumo_resume($run)", 'hospital'), $run, 'it can be resumed');
is(sql("SELECT state, epoch FROM pneumo.runs WHERE run = $run", 'hospital'), 'succeeded|40', 'to its end');

sql('CREATE DATABASE other');
$run = start_training($node, $slow, db => 'hospital');
wait_for($node, "SELECT phase = 'training' FROM pneumo.progress WHERE run = $run", 'training to begin', 'hospital');
sql("ALTER DATABASE hospital SET work_mem = '4MB'; ALTER DATABASE hospital OWNER TO CURRENT_USER; COMMENT ON DATABASE hospital IS 'x'; GRANT CONNECT ON DATABASE hospital TO PUBLIC; DROP DATABASE other");
sleep 2;
is(sql("SELECT count(*) FROM pneumo.progress WHERE run = $run", 'hospital'), '1', 'other commands on the database leave it alone');
$seconds = timed(sub { sql('DROP DATABASE hospital') });
cmp_ok($seconds, '<', 5, "DROP DATABASE during a training ($seconds)");
is(worker_pid($node), '', 'and the worker is gone');
like(slurp_file($node->logfile), qr/FATAL:  pneumo: run $run is interrupted, its database is to be dropped, renamed or moved/, 'the log says why');

sql('CREATE DATABASE clinic');
sql('CREATE EXTENSION pneumo', 'clinic');
add_phantoms($node, 200, db => 'clinic');
# Slow to read, but not to count.
sql('CREATE FUNCTION dawdle(t text) RETURNS text STABLE LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.05); RETURN t; END $$;
	CREATE VIEW dawdling AS SELECT id, dawdle(patient) AS patient, label, image FROM xrays', 'clinic');
$run = start_training($node, $slow, db => 'clinic', table => 'dawdling');
wait_for($node, "SELECT phase = 'reading images' FROM pneumo.progress WHERE run = $run", 'reading', 'clinic');
$seconds = timed(sub { sql('DROP DATABASE clinic') });
cmp_ok($seconds, '<', 5, "DROP DATABASE while it reads ($seconds)");

# --------------------------------------------------------------- the disk

my $tiny = tiny_config(@change, name => '"disk"', epochs => 6);
my $wanted = sha256_of($node, train($node, $tiny));
($status, $stdout, $stderr) = $node->psql('postgres', "\\set VERBOSITY verbose\nSET pneumo.disk_reserve = '1000TB'; SELECT pneumo_train('xrays', \$\$$tiny\$\$)");
is(scalar(() = $stderr =~ /WARNING:[^\n]*no checkpoint was written, the training goes on without: the checkpoint needs [\d.]+ .B/g), 1,
	'no room for a checkpoint: one warning');
like($stderr, qr/ERROR:  53100: the version of run \d+ needs .* pneumo.disk_reserve keeps .*HINT:  Free space or lower the setting, then train again/s,
	'no room for the version: an error');
is(sql('SELECT state, sqlstate FROM pneumo.run ORDER BY id DESC LIMIT 1'), 'failed|53100', 'the run failed');

$run = start_training($node, $tiny);
wait_for_epoch($node, $run, 2);
for (1 .. 500)
{
	last if -e checkpoint_of($run);
	usleep(10_000);
}
$node->append_conf('postgresql.conf', "pneumo.disk_reserve = '1000TB'");
$node->reload;
free();
is(sql("SELECT state, sqlstate FROM pneumo.run WHERE id = $run"), 'failed|53100', 'the disk fills during the training: it fails');
ok(-e checkpoint_of($run), 'its checkpoint stays');
$node->append_conf('postgresql.conf', 'pneumo.disk_reserve = 0');
$node->reload;
sql('SELECT pg_sleep(0.2)');
is(sql("SELECT pneumo_resume($run)"), $run, 'with room it can be resumed');
is(sha256_of($node, $run), $wanted, 'to the same bits');
is(join(' ', glob($node->data_dir . '/pneumo/*/*.new')), '', 'no partial file is left');

# ------------------------------------------------------- memory of a watcher

sub used
{
	my ($pid) = @_;
	my $offset = -s $node->logfile;
	sql("SELECT pg_log_backend_memory_contexts($pid)");
	$node->wait_for_log(qr/Grand total: \d+ bytes/, $offset) if $node->can('wait_for_log');
	my ($total) = slurp_file($node->logfile, $offset) =~ /Grand total: \d+ bytes in \d+ blocks; .*?(\d+) used/;
	return $total;
}

$run = start_training($node, slow_config(epochs => 10000, image_size => '[32, 32]', layers => PneumoTest::layers(4, 8)));
$caller = $node->background_psql('postgres', on_error_stop => 0);
my $pid = $caller->query('SELECT pg_backend_pid()');
$caller->query_until(qr/started/, "SET client_min_messages = error;\n\\echo started\nCALL pneumo_watch($run);\n");
sleep 3;
my $before = used($pid);
sleep 8;
my $grown = used($pid) - $before;
cmp_ok($grown, '<', 8192, "pneumo_watch does not grow ($grown bytes)");
sql("SELECT pneumo_cancel($run)");
$caller->quit;
free();

# --------------------------------------------- the server goes under a caller

$caller = $node->background_psql('postgres', on_error_stop => 0);
$caller->query_until(qr/started/, "\\echo started\nSELECT pneumo_train('xrays', \$\$$slow\$\$);\n");
wait_for($node, "SELECT count(*) = 1 FROM pneumo.progress WHERE phase = 'training'", 'training to begin');
$run = sql('SELECT run FROM pneumo.progress');
wait_for_epoch($node, $run, 1);
my $worker = worker_pid($node);
$node->kill9;
for (1 .. 500)
{
	last unless kill 0, $worker;
	usleep(20_000);
}
ok(!kill(0, $worker), 'the worker goes with its server');
eval { $caller->{run}->pump_nb; };
like($caller->{stderr}, qr/the server is going away, the training is interrupted/, 'the caller is told that the server goes');
unlike($caller->{stderr}, qr/cancelled/, 'and not of a cancel');
$caller->{run}->kill_kill;
for (1 .. 50)
{
	last if $node->start(fail_ok => 1);
	usleep(200_000);
}
is(run_state($node, $run), 'interrupted', 'the run is interrupted');
sql("SELECT pneumo_resume($run, wait => false)");
wait_for($node, "SELECT phase = 'training' FROM pneumo.progress WHERE run = $run", 'the run to continue');
sql("SELECT pneumo_cancel($run)");
free();
is(run_state($node, $run), 'cancelled', 'and can be resumed');

$node->stop;
done_testing();
