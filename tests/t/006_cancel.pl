# Nobody waits for a training: cancel, DROP DATABASE and shutdown are prompt.

use strict;
use warnings;

use PneumoTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

my $node = new_node('main', conf => "pneumo.max_training_runs = 2");
add_phantoms($node, 200);

# Many filters and the reference kernels: one batch takes long.
my $heavy = slow_config(image_size => '[128, 128]', batch_size => 64);

# pneumo_cancel
my $run = start_training($node, $heavy);
wait_for($node, "SELECT phase = 'training' FROM pneumo.progress WHERE run = $run", 'training to begin');
my $session = $node->background_psql('postgres');
my $seconds = timed(sub {
	$session->query_safe("SELECT pneumo_cancel($run)");
	while ($session->query_safe("SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'pneumo%'") ne '0')
	{
		usleep(10_000);
	}
});
is(run_state($node, $run), 'cancelled', 'cancelled');
cmp_ok($seconds, '<', 0.5, "within half a second ($seconds)");
$session->quit;

# Cancelling the statement that waits cancels the run.
my $caller = $node->background_psql('postgres', on_error_stop => 0);
my $caller_pid = $caller->query('SELECT pg_backend_pid()');
$caller->query_until(qr/started/, "\\echo started\nSELECT pneumo_train('xrays', \$\$$heavy\$\$);\n");
wait_for($node, "SELECT count(*) = 1 FROM pneumo.progress WHERE phase = 'training'", 'training to begin');
$run = $node->safe_psql('postgres', 'SELECT run FROM pneumo.progress');
$node->safe_psql('postgres', "SELECT pg_cancel_backend($caller_pid)");
wait_for($node, "SELECT state = 'cancelled' FROM pneumo.runs WHERE run = $run", 'the run to be cancelled with its caller');
pass('cancelling the caller cancels the run');

# A caller that is gone cancels it too.
$caller->query_until(qr/started/, "\\echo started\nSELECT pneumo_train('xrays', \$\$$heavy\$\$);\n");
wait_for($node, "SELECT count(*) = 1 FROM pneumo.progress WHERE phase = 'training'", 'training to begin');
$run = $node->safe_psql('postgres', 'SELECT run FROM pneumo.progress');
$caller->{run}->kill_kill;
wait_for($node, "SELECT state IN ('cancelled', 'interrupted') FROM pneumo.runs WHERE run = $run", 'the run to end with its caller');
pass('a caller that disappears cancels the run');

# statement_timeout of the caller.
my ($status, $stdout, $stderr) =
  $node->psql('postgres', "SET statement_timeout = '2s'; SELECT pneumo_train('xrays', \$\$$heavy\$\$)");
isnt($status, 0, 'statement_timeout ends a waiting training');
like($stderr, qr/statement timeout/, 'with its own error');
wait_for($node, 'SELECT count(*) = 0 FROM pneumo.progress', 'the slot to be free');

# pg_terminate_backend of the worker.
$run = start_training($node, $heavy);
wait_for($node, "SELECT phase = 'training' FROM pneumo.progress WHERE run = $run", 'training to begin');
$node->safe_psql('postgres', "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type LIKE 'pneumo%'");
wait_for($node, "SELECT state IN ('cancelled', 'interrupted', 'failed') FROM pneumo.runs WHERE run = $run", 'the worker to be gone');
pass('the worker can be terminated');

# Other databases come and go during a training.
$run = start_training($node, $heavy);
wait_for($node, "SELECT phase = 'training' FROM pneumo.progress WHERE run = $run", 'training to begin');
$node->safe_psql('postgres', 'CREATE DATABASE other');
$seconds = timed(sub { $node->safe_psql('postgres', 'DROP DATABASE other') });
cmp_ok($seconds, '<', 1, "DROP DATABASE of another database does not wait ($seconds)");
is(run_state($node, $run), 'running', 'and the training goes on');
$node->safe_psql('postgres', "SELECT pneumo_cancel($run)");
wait_for($node, 'SELECT count(*) = 0 FROM pneumo.progress', 'the slot to be free');

# The database of the training itself.
$node->safe_psql('postgres', 'CREATE DATABASE victim');
$node->safe_psql('victim', 'CREATE EXTENSION pneumo');
add_phantoms($node, 100, db => 'victim');
$run = start_training($node, $heavy, db => 'victim');
wait_for($node, "SELECT phase = 'training' FROM pneumo.progress WHERE run = $run", 'training to begin', 'victim');
$seconds = timed(sub { $node->safe_psql('postgres', 'DROP DATABASE victim WITH (FORCE)') });
cmp_ok($seconds, '<', 1, "DROP DATABASE … FORCE is prompt ($seconds)");
is(worker_pid($node), '', 'and the worker is gone');

# DROP EXTENSION under a training: the worker leaves quietly.
$node->safe_psql('postgres', 'CREATE DATABASE dropped');
$node->safe_psql('dropped', 'CREATE EXTENSION pneumo');
add_phantoms($node, 100, db => 'dropped');
$run = start_training($node, slow_config(image_size => '[32, 32]'), db => 'dropped');
wait_for($node, "SELECT phase = 'training' FROM pneumo.progress WHERE run = $run", 'training to begin', 'dropped');
$seconds = timed(sub { $node->safe_psql('dropped', "SET lock_timeout = '20s'; DROP EXTENSION pneumo") });
cmp_ok($seconds, '<', 5, "DROP EXTENSION does not wait for a training ($seconds)");
wait_for($node, "SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type LIKE 'pneumo%'", 'the worker to leave');
pass('the worker leaves when the extension is gone');

# Shutdown.
$run = start_training($node, $heavy);
wait_for($node, "SELECT phase = 'training' FROM pneumo.progress WHERE run = $run", 'training to begin');
$seconds = timed(sub { $node->stop('fast') });
cmp_ok($seconds, '<', 2, "fast shutdown is prompt ($seconds)");
$node->start;
is(run_state($node, $run), 'interrupted', 'the run is interrupted');
$run = start_training($node, tiny_config(name => '"after"'));
wait_for($node, "SELECT state = 'succeeded' FROM pneumo.runs WHERE run = $run", 'a run after the restart');
pass('and the next run works');

$node->stop;
done_testing();
