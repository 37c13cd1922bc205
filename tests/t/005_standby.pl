# A hot standby predicts, refuses to train, and trains once it is promoted.

use strict;
use warnings;

use PneumoTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $primary = new_node('primary', streaming => 1);
add_phantoms($primary, 80);
$primary->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->start;

my $run = train($primary, tiny_config());
$primary->wait_for_catchup($standby);
is(scores($standby, 'tiny'), scores($primary, 'tiny'), 'the standby scores as the primary, to the bit');
is($standby->safe_psql('postgres', "SELECT place FROM pneumo.cache"), 'shared', 'from its own shared memory');
is(run_state($standby, $run), 'succeeded', 'and shows the runs');

my ($status, $stdout, $stderr) = $standby->psql('postgres', "SELECT pneumo_train('xrays', '" . tiny_config() . "')");
isnt($status, 0, 'it does not train');
like($stderr, qr/ERROR:.*(recovery|read-only)/, 'and says why');

# A new version is used as soon as it has arrived.
train($primary, tiny_config(seed => 9, deploy => 'true'));
$primary->wait_for_catchup($standby);
is(scores($standby, 'tiny'), scores($primary, 'tiny'), 'a new version arrives');

# A running training is shown as stored: the standby cannot know the worker.
my $slow = start_training($primary, slow_config(name => '"slow"'));
wait_for_epoch($primary, $slow, 1);
$primary->wait_for_catchup($standby);
is(run_state($standby, $slow), 'running', 'a running training is shown as stored');

my $before = scores($standby, 'tiny');
$primary->stop('immediate');
$standby->promote;
is(scores($standby, 'tiny'), $before, 'promotion changes no score');
is(run_state($standby, $slow), 'interrupted', 'after promotion the run is interrupted');
$run = train($standby, tiny_config(name => '"promoted"'));
is(run_state($standby, $run), 'succeeded', 'and it trains');

$standby->stop;
done_testing();
