# Restart: models are there, the cache is empty and can be warmed.

use strict;
use warnings;

use PneumoTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('main');
add_phantoms($node, 80);
train($node, tiny_config());
my $before = scores($node, 'tiny');
for my $mode ('fast', 'immediate')
{
	$node->restart if $mode eq 'fast';
	if ($mode eq 'immediate')
	{
		$node->stop('immediate');
		$node->start;
	}
	is($node->safe_psql('postgres', 'SELECT count(*) FROM pneumo.cache'), '0', "$mode: the cache is empty");
	$node->safe_psql('postgres', "SELECT pneumo_cache_load('tiny')");
	is($node->safe_psql('postgres', "SELECT place, state FROM pneumo.cache"), 'shared|ready', "$mode: it can be warmed");
	is(scores($node, 'tiny'), $before, "$mode: the scores are the same, to the bit");
}
$node->safe_psql('postgres', 'SELECT pneumo_cache_clear()');
is($node->safe_psql('postgres', 'SELECT count(*) FROM pneumo.cache'), '0', 'the cache can be cleared');
is(scores($node, 'tiny'), $before, 'and fills itself');

# Preloading is allowed and changes nothing.
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'pneumo'");
$node->restart;
is(scores($node, 'tiny'), $before, 'preloaded: the scores are the same');
my $run = train($node, tiny_config(name => '"again"'));
is(run_state($node, $run), 'succeeded', 'preloaded: trains');
is( $node->safe_psql('postgres', "SELECT count(DISTINCT sha256) FROM pneumo.versions"), '1',
	'equal data, config and seed make an equal version');

$node->stop;
done_testing();
