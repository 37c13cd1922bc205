# A worker that is killed: the run is interrupted, the server recovers, and the
# resumed run ends in the same bits as one that was never broken.

use strict;
use warnings;

use PneumoTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('main', conf => 'restart_after_crash = on');
add_phantoms($node, 160);

# Slow enough to be killed in the middle.
my @change = (epochs => 6, image_size => '[64, 64]', layers => PneumoTest::layers(24, 16));

my $whole = train($node, tiny_config(@change, name => '"whole"'));
my $wanted = sha256_of($node, $whole);
like($wanted, qr/^[0-9a-f]{64}$/, 'the unbroken run has a version');

# kill -9
my $run = start_training($node, tiny_config(@change, name => '"broken"'));
wait_for_epoch($node, $run, 2);
is(run_state($node, $run), 'running', 'the run is running');
my $pid = worker_pid($node);
like($pid, qr/^\d+$/, 'one worker');
kill 'KILL', $pid;
wait_for($node, 'SELECT pg_postmaster_start_time() IS NOT NULL AND NOT EXISTS
	(SELECT FROM pg_stat_activity WHERE pid = ' . $pid . ')', 'the server to recover');
is(run_state($node, $run), 'interrupted', 'a run whose worker died is interrupted');
is($node->safe_psql('postgres', 'SELECT count(*) FROM pneumo.progress'), '0', 'and has no progress');

is($node->safe_psql('postgres', "SELECT pneumo_resume($run)"), $run, 'it can be resumed');
is(run_state($node, $run), 'succeeded', 'and succeeds');
is(sha256_of($node, $run), $wanted, 'with the bits of the unbroken run');
is( $node->safe_psql('postgres', "SELECT string_agg(epoch::text, ',' ORDER BY epoch) FROM pneumo.history WHERE run = $run"),
	'1,2,3,4,5,6', 'each epoch is in the history once');
is( $node->safe_psql('postgres', "
	SELECT count(*) FROM pneumo.history a JOIN pneumo.history b USING (epoch)
	WHERE a.run = $whole AND b.run = $run AND (a.loss, a.val_loss) IS DISTINCT FROM (b.loss, b.val_loss)"),
	'0', 'with the figures of the unbroken run');

# Cancel writes a checkpoint: resumed from the middle of the training.
$run = start_training($node, tiny_config(@change, name => '"cancelled"'));
wait_for_epoch($node, $run, 2);
$node->safe_psql('postgres', "SELECT pneumo_cancel($run)");
wait_for($node, "SELECT state = 'cancelled' FROM pneumo.runs WHERE run = $run", 'the run to be cancelled');
my $epochs = $node->safe_psql('postgres', "SELECT count(*) FROM pneumo.history WHERE run = $run");
cmp_ok($epochs, '<', 6, 'cancelled before the end');
$node->safe_psql('postgres', "SELECT pneumo_resume($run)");
is(run_state($node, $run), 'succeeded', 'a cancelled run can be resumed');
is(sha256_of($node, $run), $wanted, 'with the bits of the unbroken run');

# Stopped server: the same.
$run = start_training($node, tiny_config(@change, name => '"stopped"'));
wait_for_epoch($node, $run, 1);
$node->restart;
is(run_state($node, $run), 'interrupted', 'a restart interrupts a run');
$node->safe_psql('postgres', "SELECT pneumo_resume($run)");
is(sha256_of($node, $run), $wanted, 'resumed after a restart with the same bits');

# Other data: refused, and the error says why.
$run = start_training($node, tiny_config(@change, name => '"changed"'));
wait_for_epoch($node, $run, 1);
$node->safe_psql('postgres', "SELECT pneumo_cancel($run)");
is($node->safe_psql('postgres', "SELECT pneumo_wait($run)"), 'cancelled', 'the run is cancelled');
$node->safe_psql('postgres', 'DELETE FROM xrays WHERE id = 3');
my ($status, $stdout, $stderr) = $node->psql('postgres', "SELECT pneumo_resume($run)");
isnt($status, 0, 'a run is not resumed on other data');
like($stderr, qr/ERROR:.*(data|image|changed|fingerprint)/, 'the error says what changed');

$node->safe_psql('postgres', "SELECT pneumo_forget($run)");
is($node->safe_psql('postgres', "SELECT count(*) FROM pneumo.runs WHERE run = $run"), '0', 'a finished run can be forgotten');

$node->stop;
done_testing();
