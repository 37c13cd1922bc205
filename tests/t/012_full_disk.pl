# Disks and shared memory that are full: one clear error, nothing left behind,
# and a training that only lost its insurance goes on.

use strict;
use warnings;

use PneumoTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('main');
add_phantoms($node, 160);

sub temporary_files
{
	return join ' ', map { glob("$_/*") } glob($node->data_dir . '/base/pgsql_tmp');
}

# ------------------------------------------------- the file of the samples
# Memory for the network and some samples; the others go to a file.

my $large = tiny_config(
	name => '"large"', image_size => '[256, 256]',
	layers => '[{"class_name": "Flatten"}, {"class_name": "Dense", "config": {"units": 1, "activation": "sigmoid"}}]');
my ($status, $stdout, $stderr) =
  $node->psql('postgres', "SET pneumo.train_memory = '1MB'; SELECT pneumo_plan('xrays', \$\$$large\$\$)");
my ($needed) = $stderr =~ /needs (\d+) MB of memory/ or die $stderr;
$node->append_conf('postgresql.conf', "pneumo.train_memory = '" . ($needed + 1) . "MB'");
$node->reload;
my $run = train($node, $large);
my $wanted = sha256_of($node, $run);
$node->append_conf('postgresql.conf', "temp_file_limit = '1MB'");
$node->reload;
($status, $stdout, $stderr) = $node->psql('postgres', "\\set VERBOSITY verbose\nSELECT pneumo_train('xrays', \$\$$large\$\$)");
like($stderr, qr/ERROR:  53400: temporary file size exceeds "?temp_file_limit/, 'the samples do not fit temp_file_limit: an error');
is( $node->safe_psql('postgres', "SELECT state, sqlstate FROM pneumo.run ORDER BY id DESC LIMIT 1"),
	'failed|53400', 'the run failed, and says why');
is(temporary_files(), '', 'and left no file');
$node->append_conf('postgresql.conf', "temp_file_limit = '20MB'");
$node->reload;
$run = train($node, $large);
is(sha256_of($node, $run), $wanted, 'with room for the file: the same bits');
is(temporary_files(), '', 'the file goes with the worker');
$node->append_conf('postgresql.conf', "pneumo.train_memory = '2GB'\ntemp_file_limit = -1");
$node->reload;
$run = train($node, $large);
is(sha256_of($node, $run), $wanted, 'all samples in memory: the same bits');

# ------------------------------------------------------------- checkpoints
# Nothing can be written where they belong.

my $folder = $node->data_dir . '/pneumo';
system_or_bail('rm', '-rf', $folder);
append_to_file($folder, 'in the way');
my $offset = -s $node->logfile;
my @change = (name => '"uninsured"', epochs => 6, image_size => '[64, 64]', layers => PneumoTest::layers(24, 16));
($status, $stdout, $stderr) = $node->psql('postgres', "SELECT pneumo_train('xrays', \$\$" . tiny_config(@change) . '$$)');
is($status, 0, 'a training succeeds without checkpoints');
like($stderr, qr/WARNING:  no checkpoint was written, the training goes on without: could not create/, 'it warns its caller');
is(scalar(() = $stderr =~ /no checkpoint/g), 1, 'once');
like(slurp_file($node->logfile, $offset), qr/WARNING:  pneumo: run \d+: no checkpoint was written/, 'and the log');

$run = start_training($node, slow_config());
wait_for_epoch($node, $run, 1);
$node->safe_psql('postgres', "SELECT pneumo_cancel($run)");
is($node->safe_psql('postgres', "SELECT pneumo_wait($run)"), 'cancelled', 'it can be cancelled');
($status, $stdout, $stderr) = $node->psql('postgres', "SELECT pneumo_resume($run)");
like($stderr, qr/run $run has no checkpoint to continue from/, 'and then not be resumed');
unlink $folder;

# A checkpoint that cannot be replaced stays, and can be continued from.
$run = start_training($node, slow_config(name => '"insured"'));
wait_for_epoch($node, $run, 2);
wait_for($node, "SELECT (pg_stat_file('pneumo/' || oid || '/pgsql_tmp_run_$run.checkpoint', true)).size > 0 FROM pg_database WHERE datname = current_database()", 'the first checkpoint');
my ($file) = glob("$folder/*/pgsql_tmp_run_$run.checkpoint");
mkdir "$file.new";
$node->safe_psql('postgres', "SELECT pneumo_cancel($run)");
is($node->safe_psql('postgres', "SELECT pneumo_wait($run)"), 'cancelled', 'cancelled, the last checkpoint was not written');
rmdir "$file.new";
$node->safe_psql('postgres', "SELECT pneumo_resume($run, wait => false)");
wait_for($node, "SELECT phase = 'training' FROM pneumo.progress WHERE run = $run", 'the run to continue');
pass('it continues from the first one');
$node->safe_psql('postgres', "SELECT pneumo_cancel($run)");
$node->safe_psql('postgres', "SELECT pneumo_wait($run)");

# What a worker that died in the middle of writing left is swept.
append_to_file("$file.new", 'half');
train($node, tiny_config());
ok(!-e "$file.new", 'half a checkpoint is removed by the next training');
ok(-e $file, 'the whole one stays');
$node->safe_psql('postgres', "SELECT pneumo_forget($run)");
ok(!-e $file, 'until the run is forgotten');

# ------------------------------------------- files of a limited size
# As tests of full shared memory do: no file, and no segment, above 17 MB.

my $wide = wide_config(name => '"wide"', layers => PneumoTest::layers(24, 1024));
train($node, $wide);
my $expected = scores($node, 'wide');
my $parallel = q{SET max_parallel_workers_per_gather = 2; SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0;
	SET min_parallel_table_scan_size = 0; ALTER TABLE xrays SET (parallel_workers = 2);
	SELECT round(sum(pneumo_predict(image, 'wide'))::numeric, 10) FROM xrays WHERE id < 40};
my $sum = $node->safe_psql('postgres', $parallel);
$node->stop;
system_or_bail('bash', '-c', "ulimit -S -f 17408 && exec pg_ctl -w -D '" . $node->data_dir . "' -l '" . $node->logfile .
	"' -o '--cluster-name=main' start");
$node->_update_pid(1);
is($node->safe_psql('postgres', $parallel), $sum, 'parallel workers without shared memory for the weights score the same');

($status, $stdout, $stderr) = $node->psql('postgres', "SELECT pneumo_train('xrays', \$\$" .
	wide_config(name => '"wide"', epochs => 2, layers => PneumoTest::layers(24, 1024)) . '$$)');
like($stderr, qr/WARNING:  no checkpoint was written, the training goes on without: could not write file/, 'a checkpoint that is too large');
like($stderr, qr/ERROR:  could not extend file/, 'and a table that cannot take the version: an error');
is($node->safe_psql('postgres', 'SELECT state FROM pneumo.run ORDER BY id DESC LIMIT 1'), 'failed', 'the run failed');
is(join(' ', glob("$folder/*/*")), '', 'nothing of it is left');

# The segment of a training.
($status, $stdout, $stderr) = $node->psql('postgres',
	"\\set VERBOSITY verbose\nSELECT pneumo_train('xrays', ('" . tiny_config() .
	q{')::jsonb || jsonb_build_object('comment', repeat('x', 20000000)))});
like($stderr, qr/ERROR:  53\d\d\d: could not resize shared memory segment/, 'no room for the segment of a training: an error');
is($node->safe_psql('postgres', 'SELECT count(*) FROM pneumo.progress'), '0', 'and no slot is taken');
train($node, tiny_config());
pass('the next training works');

$node->stop;
done_testing();
