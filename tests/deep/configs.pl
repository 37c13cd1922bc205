# Random configs: JSON of every shape under the known keys and others, and random
# lists of layers.  pneumo_plan reads each; an answer and an error of its own are
# fine, an internal error or a crash is not.

use strict;
use warnings;

use PneumoTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $n = $ENV{CONFIGS} || 20000;
my $node = new_node('main');
add_phantoms($node, 40);
srand(7);

my @keys = qw(name model layers image_size color_mode rescale interpolation image_column label_column positive_class
  group_column split_column key_column validation_split test_split split_seed sample_weight_column max_bad_images epochs
  batch_size steps_per_epoch shuffle class_weight seed threads initial_model optimizer learning_rate amsgrad rho momentum
  nesterov centered epsilon beta_1 beta_2 weight_decay clipnorm global_clipnorm clipvalue label_smoothing loss metrics
  verbose early_stopping reduce_lr_on_plateau rotation_range width_shift_range height_shift_range brightness_range
  shear_range zoom_range horizontal_flip vertical_flip fill_mode cval calibration operating_point deploy precision comment);
my @inner = (qw(monitor patience min_delta mode class_name config units filters kernel_size strides padding activation
  pool_size rate axis momentum inbound_nodes name build_input_shape batch_input_shape layers input_layers output_layers
  sensitivity confidence threshold factor cooldown min_lr NORMAL PNEUMONIA 0 1 mean stddev seed), '');
my @classes = qw(Conv2D SeparableConv2D ZeroPadding2D Cropping2D UpSampling2D Reshape ELU Multiply Average Maximum
  Minimum Subtract SpatialDropout2D LayerNormalization GroupNormalization PReLU SelectChannels Normalization Identity DepthwiseConv2D MaxPooling2D AveragePooling2D GlobalAveragePooling2D GlobalMaxPooling2D Flatten
  Dense Dropout BatchNormalization Activation ReLU LeakyReLU Softmax Add Concatenate Rescaling InputLayer Sequential
  Functional Lambda);
my @words = (qw(deep baseline grayscale rgb area bilinear adam sgd rmsprop adamw relu sigmoid softmax same valid patient
  label image id val_loss val_auc min max auto balanced youden platt temperature none yes no if_better int16 float32
  nearest wrap CosineDecay GlorotUniform HeNormal Orthogonal), '', "\x{e4}\x{20ac}", 'x' x 300, 'pg_catalog.now()', "'; DROP TABLE xrays; --");

sub pick { return $_[ int(rand(scalar @_)) ]; }

sub text { my $t = pick(@_); $t =~ s/(["\\])/\\$1/g; return '"' . $t . '"'; }

sub value
{
	my ($depth) = @_;
	my $kind = int(rand($depth > 3 ? 6 : 9));

	return pick('null', 'true', 'false') if $kind == 0;
	return pick(0, 1, 2, -1, 3, 16, 64, 300, 4096, 65536, 2147483648, '1e308', '-1e400', '1e-320', 0.5, 0.1, '9007199254740993')
	  if $kind <= 2;
	return text(@words) if $kind == 3 || $kind == 4;
	return text(@classes) if $kind == 5;
	return '[' . join(',', map { value($depth + 1) } 1 .. int(rand(5))) . ']' if $kind == 6;
	return layer($depth + 1) if $kind == 7;
	return '{' . join(',', map { text(@inner) . ':' . value($depth + 1) } 1 .. int(rand(5))) . '}';
}

sub layer
{
	my ($depth) = @_;
	my $class = pick(@classes);
	my %config = ();

	$config{filters} = pick(1, 4, 8, value(4)) if $class eq 'Conv2D' && rand() < 0.9;
	$config{kernel_size} = pick(1, 3, '[3,3]', value(4)) if $class =~ /Conv2D/ && rand() < 0.9;
	$config{units} = pick(1, 2, 8, value(4)) if $class eq 'Dense' && rand() < 0.9;
	$config{activation} = text(qw(relu sigmoid softmax linear tanh)) if rand() < 0.5;
	$config{rate} = pick(0.2, value(4)) if $class eq 'Dropout';
	$config{pick(@inner)} = value($depth + 1) if rand() < 0.2;
	$config{name} = text(qw(a b c d)) if rand() < 0.2;
	return "{\"class_name\":\"$class\",\"config\":{" . join(',', map { "\"$_\":$config{$_}" } sort keys %config) . '}}';
}

sub layers
{
	my @list = map { layer(0) } 1 .. int(rand(8));

	push @list, '{"class_name":"Flatten","config":{}}', '{"class_name":"Dense","config":{"units":1,"activation":"sigmoid"}}'
	  if rand() < 0.7;
	return '[' . join(',', @list) . ']';
}

my $file = $node->basedir . '/configs.csv';
open my $out, '>:utf8', $file or die "$file: $!";
for my $i (1 .. $n)
{
	my @pairs = ('"group_column":"patient"');

	push @pairs, '"image_size":[' . pick(8, 16, 24) . ',' . pick(8, 16, 24) . ']' if rand() < 0.8;
	push @pairs, '"layers":' . layers() if rand() < 0.6;
	push @pairs, text(rand() < 0.9 ? @keys : @inner) . ':' . value(0) for 1 .. int(rand(4));
	my $json = '{' . join(',', @pairs) . '}';
	$json = value(0) if rand() < 0.02;
	$json =~ s/"/""/g;
	print $out "$i,\"$json\"\n";
}
close $out;

$node->safe_psql('postgres', <<SQL);
CREATE TABLE configs (i integer, config text);
\\copy configs FROM '$file' CSV
CREATE TABLE outcome (i integer, sqlstate text, message text);
CREATE PROCEDURE try_configs() LANGUAGE plpgsql AS \$\$
DECLARE
	c record;
BEGIN
	FOR c IN SELECT * FROM configs ORDER BY i LOOP
		BEGIN
			SET LOCAL statement_timeout = '20s';
			PERFORM count(*) FROM pneumo_plan('xrays', c.config::jsonb);
			INSERT INTO outcome VALUES (c.i, '00000', NULL);
		EXCEPTION WHEN OTHERS THEN
			INSERT INTO outcome VALUES (c.i, SQLSTATE, SQLERRM);
		END;
		IF c.i % 200 = 0 THEN COMMIT; END IF;
	END LOOP;
END \$\$;
SET client_min_messages = error;
SQL
my ($status, $stdout, $stderr) =
  $node->psql('postgres', 'SET client_min_messages = error; CALL try_configs()', timeout => 14000);
is($status, 0, 'the session came through') or diag($stderr);
note("counted: $n configs, by SQLSTATE "
  . $node->safe_psql('postgres',
	"SELECT string_agg(sqlstate || ': ' || n, ', ' ORDER BY sqlstate) FROM (SELECT sqlstate, count(*) AS n FROM outcome GROUP BY 1) s"));
is( $node->safe_psql('postgres',
		"SELECT i, sqlstate, message FROM outcome WHERE sqlstate LIKE 'XX%' OR sqlstate LIKE '57%' OR message = '' LIMIT 5"),
	'', 'no internal error, no timeout, no empty message');
unlike(slurp_file($node->logfile), qr/terminated by signal|PANIC|TRAP/, 'no crash');
$node->stop;
done_testing();
