# PneumoTest.pm
#
# What the server tests share: a server with the extension and phantom
# radiographs in it, networks small enough to train in a second, and ways to
# wait for what is going on elsewhere without sleeping for a fixed time.

package PneumoTest;

use strict;
use warnings;

use Exporter 'import';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

our @EXPORT = qw(new_node add_phantoms tiny_config slow_config wide_config train
  start_training wait_for_epoch wait_until_free worker_pid sha256_of scores wait_for run_state timed);

# A started server with the extension in database postgres.  conf is added to
# its configuration.
sub new_node
{
	my ($name, %option) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);

	$node->init(allows_streaming => $option{streaming} // 0);
	$node->append_conf('postgresql.conf', <<'CONF');
pneumo.simd = 'reference'
pneumo.blas_library = 'none'
pneumo.train_threads = 1
jit = off
autovacuum = off
max_connections = 80
max_worker_processes = 10
CONF
	$node->append_conf('postgresql.conf', $option{conf}) if $option{conf};
	$node->start;
	$node->safe_psql('postgres', 'CREATE EXTENSION pneumo');
	return $node;
}

# Table xrays with n phantoms, two to a patient, half of them PNEUMONIA.
sub add_phantoms
{
	my ($node, $n, %option) = @_;
	my $table = $option{table} // 'xrays';
	my $db = $option{db} // 'postgres';

	$node->safe_psql(
		$db, qq{
		CREATE TABLE $table (id integer PRIMARY KEY, patient text NOT NULL, label text NOT NULL, image bytea NOT NULL);
		INSERT INTO $table
			SELECT i, 'patient ' || i / 2, l, pneumo_phantom(i, l)
			FROM generate_series(0, $n - 1) i, LATERAL (SELECT CASE (i / 2) % 2 WHEN 0 THEN 'NORMAL' ELSE 'PNEUMONIA' END) x(l);
	});
}

sub json_with
{
	my ($pairs, %change) = @_;
	my %all = (%$pairs, %change);

	return '{' . join(', ', map { qq("$_": $all{$_}) } sort keys %all) . '}';
}

my %small = (
	name => '"tiny"',
	image_size => '[32, 32]',
	group_column => '"patient"',
	epochs => 2,
	batch_size => 16,
	optimizer => '"adam"',
	learning_rate => '0.01',
	early_stopping => 'null',
	validation_split => '0.25',
	test_split => '0.25',
	seed => 7,
	threads => 1);

sub layers
{
	my ($filters, $units) = @_;

	return qq([{"class_name": "Conv2D", "config": {"filters": $filters, "kernel_size": [3, 3], "padding": "same", "activation": "relu"}},
		{"class_name": "MaxPooling2D", "config": {"pool_size": [2, 2]}},
		{"class_name": "Flatten", "config": {}},
		{"class_name": "Dense", "config": {"units": $units, "activation": "relu"}},
		{"class_name": "Dense", "config": {"units": 1, "activation": "sigmoid"}}]);
}

# Trains in about a second.
sub tiny_config
{
	return json_with({ %small, layers => layers(4, 8) }, @_);
}

# Trains for minutes, for tests that interrupt it.
sub slow_config
{
	return json_with({ %small, epochs => 500, layers => layers(32, 32), image_size => '[64, 64]' }, @_);
}

# Sixteen megabytes of weights.
sub wide_config
{
	return json_with({ %small, epochs => 1, layers => layers(16, 1024) }, @_);
}

# Trains and waits; returns the run.
sub train
{
	my ($node, $config, %option) = @_;
	my $table = $option{table} // 'xrays';

	return $node->safe_psql($option{db} // 'postgres', "SELECT pneumo_train('$table', \$\$$config\$\$)");
}

# Starts a training and returns its run at once.
sub start_training
{
	my ($node, $config, %option) = @_;
	my $table = $option{table} // 'xrays';

	return $node->safe_psql($option{db} // 'postgres', "SELECT pneumo_train('$table', \$\$$config\$\$, wait => false)");
}

sub wait_for
{
	my ($node, $query, $what, $db) = @_;

	my $end = time + 120;

	# a server that has just crashed hangs up on psql, which is no answer
	while (1)
	{
		my $reached = eval { $node->poll_query_until($db // 'postgres', $query) };

		return if $reached;
		die $@ || "timed out waiting for: $what" if $@ !~ /Broken pipe/ || time > $end;
		usleep(100_000);
	}
}

# Until so many epochs of the run are finished.
# Waits until no run is alive and every process of the extension has gone.
sub wait_until_free
{
	my ($node) = @_;

	wait_for($node, "SELECT NOT EXISTS (SELECT FROM pneumo.progress) AND NOT EXISTS
		(SELECT FROM pg_stat_activity WHERE backend_type LIKE 'pneumo%')", 'the workers to be gone');
}

sub wait_for_epoch
{
	my ($node, $run, $epoch, $db) = @_;

	wait_for($node, "SELECT count(*) >= $epoch FROM pneumo.history WHERE run = $run", "epoch $epoch of run $run", $db);
}

sub run_state
{
	my ($node, $run) = @_;

	return $node->safe_psql('postgres', "SELECT state FROM pneumo.runs WHERE run = $run");
}

sub worker_pid
{
	my ($node) = @_;

	return $node->safe_psql('postgres', "SELECT pid FROM pg_stat_activity WHERE backend_type LIKE 'pneumo%'");
}

# Of the version that the run made.
sub sha256_of
{
	my ($node, $run) = @_;

	return $node->safe_psql('postgres',
		"SELECT encode(v.sha256, 'hex') FROM pneumo.versions v JOIN pneumo.runs r USING (version_id) WHERE r.run = $run");
}

# The scores of the first images, all digits.
sub scores
{
	my ($node, $model, %option) = @_;
	my $db = $option{db} // 'postgres';

	return $node->safe_psql($db,
		"SET extra_float_digits = 3; SELECT id, pneumo_predict(image, '$model') FROM xrays WHERE id < 8 ORDER BY id");
}

# Seconds that a piece of code takes.
sub timed
{
	my ($code) = @_;
	my $start = time;

	$code->();
	return time - $start;
}

1;
