# The same data, config and seed give the same bits for any number of threads
# and any order of the rows, and training's validation is prediction.

use strict;
use warnings;

use PneumoTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('main', conf => "pneumo.train_threads = 4\npneumo.simd = 'auto'");
add_phantoms($node, 160);

my %change = (
	epochs => 3,
	layers => q([{"class_name": "Conv2D", "config": {"filters": 8, "kernel_size": [3, 3], "padding": "same", "use_bias": false}},
		{"class_name": "BatchNormalization", "config": {}},
		{"class_name": "Activation", "config": {"activation": "relu"}},
		{"class_name": "MaxPooling2D", "config": {"pool_size": [2, 2]}},
		{"class_name": "Dropout", "config": {"rate": 0.25}},
		{"class_name": "Flatten", "config": {}},
		{"class_name": "Dense", "config": {"units": 16, "activation": "relu"}},
		{"class_name": "Dense", "config": {"units": 1, "activation": "sigmoid"}}]),
	rotation_range => 10,
	zoom_range => '0.1',
	horizontal_flip => 'true');
my @sha256;

for my $threads (1, 2, 4)
{
	my $run = train($node, tiny_config(%change, name => qq("threads $threads"), threads => $threads));

	push @sha256, sha256_of($node, $run);
}
like($sha256[0], qr/^[0-9a-f]{64}$/, 'trained');
is($sha256[1], $sha256[0], 'two threads give the bits of one');
is($sha256[2], $sha256[0], 'four threads give the bits of one');

# Rows in another order.
$node->safe_psql('postgres', 'CREATE TABLE shuffled AS SELECT * FROM xrays ORDER BY md5(id::text); ALTER TABLE shuffled ADD PRIMARY KEY (id)');
my $run = train($node, tiny_config(%change, name => '"shuffled"'), table => 'shuffled');
is(sha256_of($node, $run), $sha256[0], 'the order of the rows does not matter');

$run = train($node, tiny_config(%change, name => '"seed"', seed => 8));
isnt(sha256_of($node, $run), $sha256[0], 'the seed does');

# Training's validation loss is what prediction gives.
is( $node->safe_psql('postgres', q{
	WITH s AS (
		SELECT label = 'PNEUMONIA' AS y, pneumo_predict_raw(image, 'threads 1') AS p
		FROM xrays WHERE pneumo_split(patient, 0, 0.25, 0.25) = 'validation'),
	h AS (
		SELECT h.val_loss, h.val_accuracy FROM pneumo.history h JOIN pneumo.runs r USING (run)
		WHERE r.model = 'threads 1' ORDER BY h.epoch DESC LIMIT 1)
	SELECT abs(avg(-ln(CASE WHEN y THEN p ELSE 1 - p END)) - min(val_loss)) < 1e-5,
		abs(avg((y = (p >= 0.5))::int) - min(val_accuracy)) < 1e-9
	FROM s, h}), 't|t', 'the last validation figures are those of prediction');

# Serial and parallel plans agree.
my $serial = $node->safe_psql('postgres', q{SET extra_float_digits = 3; SET max_parallel_workers_per_gather = 0;
	SELECT md5(string_agg(pneumo_predict(image, 'threads 1')::text, ',' ORDER BY id)) FROM xrays});
my $parallel = $node->safe_psql('postgres', q{SET extra_float_digits = 3; SET max_parallel_workers_per_gather = 2;
	ALTER TABLE xrays SET (parallel_workers = 2); SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0;
	CREATE TABLE scored AS SELECT id, pneumo_predict(image, 'threads 1') AS p FROM xrays;
	SELECT md5(string_agg(p::text, ',' ORDER BY id)) FROM scored});
is($parallel, $serial, 'a parallel plan gives the scores of a serial one');

$node->stop;
done_testing();
