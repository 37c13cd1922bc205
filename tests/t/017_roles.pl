# Roles that are renamed or dropped: rights follow the role and not its name,
# in a server, in a training that is running, and through a dump.

use strict;
use warnings;

use PneumoTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('main');
my ($status, $stdout, $stderr);
sub sql { return $node->safe_psql($_[1] // 'postgres', $_[0]); }

sub as
{
	my ($role, $sql, $db) = @_;
	return $node->psql($db // 'postgres', $sql, extra_params => [ '-U', $role ]);
}

# What a role may do with models: any privilege, predict, and ownership of each model.
my $rights = q{SELECT string_agg(m || ':' || pneumo_has_privilege(m, 'predict')::int || pneumo_has_privilege(m, 'owner')::int, ' ' ORDER BY m)
	FROM unnest(ARRAY['tiny', 'open', 'orphan']) m};
sub rights_of
{
	my ($role, $n, $db) = @_;
	return ($n // $node)->safe_psql($db // 'postgres', $rights, extra_params => [ '-U', $role ]);
}

add_phantoms($node, 120);
sql('CREATE ROLE anna LOGIN; CREATE ROLE ben LOGIN; CREATE ROLE carl LOGIN; CREATE ROLE "Dora D." LOGIN; CREATE ROLE maker LOGIN CREATEROLE;
	GRANT SELECT ON xrays TO anna; GRANT EXECUTE ON FUNCTION pneumo_train, pneumo_resume TO anna');
my $tiny = sql("SET ROLE anna; SELECT pneumo_train('xrays', '" . tiny_config() . "')");
foreach my $model ('open', 'orphan')
{
	sql("SET ROLE anna; SELECT pneumo_train('xrays', '" . tiny_config(name => qq("$model")) . "')");
}
sql(q{SELECT pneumo_grant('tiny', 'ben', 'predict'); SELECT pneumo_grant('tiny', 'carl', 'predict'); SELECT pneumo_grant('tiny', 'Dora D.', 'predict');
	SELECT pneumo_grant('open', 'PUBLIC', 'predict'); SELECT pneumo_set_owner('orphan', 'carl')});

# ---------------------------------------------------------------- renamed

my $run = sql("SET ROLE anna; SELECT pneumo_train('xrays', '" . slow_config(name => '"long"', epochs => 4) . "', wait => false)");
wait_for_epoch($node, $run, 1);
sql('ALTER ROLE anna RENAME TO anne; ALTER ROLE ben RENAME TO bob');
is(sql("SELECT pneumo_wait($run)"), 'succeeded', 'a training ends well whose role is renamed meanwhile');
is(sql("SELECT owner FROM pneumo.models WHERE model = 'long'"), 'anne', 'the model is that role\'s');
is(sql("SELECT DISTINCT owner FROM pneumo.runs"), 'anne', 'and so are the runs');
is(rights_of('anne'), 'open:11 orphan:00 tiny:11', 'an owner keeps models');
is(rights_of('bob'), 'open:10 orphan:00 tiny:10', 'a grantee keeps privileges');
($status, $stdout, $stderr) = as('anne', "SELECT count(*) FROM pneumo.history WHERE run = $run; SELECT pneumo_forget($run)");
is($status, 0, 'the run can be seen and forgotten by its role') or diag($stderr);
like($stdout, qr/^4$/m, 'with its epochs');

# The old name in other hands.
as('maker', 'CREATE ROLE anna LOGIN; CREATE ROLE ben LOGIN');
is(rights_of($_), 'open:10 orphan:00 tiny:00', "a new role $_ has the rights of everybody") foreach ('anna', 'ben');
is($node->safe_psql('postgres', 'SELECT count(*) FROM pneumo.runs', extra_params => [ '-U', 'anna' ]), '0', 'and no runs');
($status, $stdout, $stderr) = as('anna', "SELECT pneumo_forget($tiny)");
like($stderr, qr/training run $tiny does not exist/, 'nor those of the role that had the name');

# ---------------------------------------------------------------- dropped

my $dropped = join('|', split(/\n/, sql(q{SELECT oid FROM pg_roles WHERE rolname IN ('carl', 'bob')})));
sql('DROP ROLE carl; DROP ROLE bob');
as('maker', 'CREATE ROLE carl LOGIN; CREATE ROLE bob LOGIN');
is(rights_of($_), 'open:10 orphan:00 tiny:00', "a new role $_ inherits nothing") foreach ('carl', 'bob');
is(sql("SELECT owner IS NULL FROM pneumo.models WHERE model = 'orphan'"), 't', 'a model without an owner');
is(sql("SELECT count(*) FILTER (WHERE grantee IS NULL), count(*) FROM pneumo.privileges WHERE model = 'tiny'"), '2|3', 'grants to nobody');
($status, $stdout, $stderr) = as('anne', "SELECT pneumo_set_owner('orphan', 'anne')");
like($stderr, qr/model "orphan" does not exist/, 'it is for superusers to give away');

# A training whose role is dropped.
sql('CREATE ROLE guest LOGIN; GRANT SELECT ON xrays TO guest; GRANT EXECUTE ON FUNCTION pneumo_train TO guest');
$run = sql("SET ROLE guest; SELECT pneumo_train('xrays', '" . slow_config(name => '"of a guest"') . "', wait => false)");
wait_for_epoch($node, $run, 1);
sql('DROP OWNED BY guest; DROP ROLE guest');
is(sql("SELECT pneumo_wait($run)"), 'failed', 'a training fails whose role is dropped');
is(sql("SELECT owner IS NULL, error FROM pneumo.runs WHERE run = $run"), 't|the role that owns the training run was dropped', 'and says why');
is(sql("SELECT count(*) FROM pneumo.models WHERE model = 'of a guest'"), '0', 'its name is free again');
sql('CREATE ROLE guest LOGIN');
($status, $stdout, $stderr) = as('guest', "SELECT pneumo_forget($run)");
like($stderr, qr/training run $run does not exist/, 'a new guest does not see it');

# ---------------------------------------------------------------- dumped

my $file = $node->basedir . '/dump.sql';
$node->command_ok([ 'pg_dump', '-f', $file, 'postgres' ], 'pg_dump');
my $dump = slurp_file($file);
my @rights = $dump =~ /^COPY pneumo\.(?:model|privilege) .*?^\\\.$/msg;
is(scalar(@rights), 2, 'rights are dumped');
unlike(join('', @rights), qr/\t(?:$dropped)\t/, 'without the OIDs of roles that were dropped');
like($rights[1], qr/\tDora D\.\tpredict\t/, 'by name');

sub restored
{
	my ($n, $how) = @_;
	my $errors = '';

	$n->safe_psql('postgres', "CREATE DATABASE restored");
	$n->run_log([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $n->connstr('restored'), '-f', $file ], '2>', \$errors);
	is($n->safe_psql('restored', 'SELECT count(*) FROM pneumo.models'), '4', "$how: the models are there");
	is(rights_of('Dora D.', $n, 'restored'), 'open:10 orphan:00 tiny:10', "$how: grants hold");
	is($n->safe_psql('restored', "SELECT owner IS NULL FROM pneumo.models WHERE model = 'orphan'"), 't', "$how: the model without an owner has none");
	return $errors;
}

sql('ALTER ROLE anne RENAME TO annette');
$node->command_ok([ 'pg_dump', '-f', $file, 'postgres' ], 'pg_dump after a rename');
is(restored($node, 'the same server'), '', 'restored without errors and warnings');
is(rights_of('annette', $node, 'restored'), 'open:11 orphan:00 tiny:11', 'an owner is an owner');
is(rights_of($_, $node, 'restored'), 'open:10 orphan:00 tiny:00', "and $_ is nobody") foreach ('anna', 'ben', 'bob', 'carl');
is(sql('SELECT count(*) FROM pneumo.runs WHERE owner = \'annette\'', 'restored'), '3', 'runs are their owner\'s');

# Before DROP ROLE: everything of a role, given to another and taken back.
sql("SELECT pneumo_set_owner(model, 'maker') FROM pneumo.models WHERE owner = 'annette';
	SELECT pneumo_revoke(model, grantee, privilege) FROM pneumo.privileges WHERE grantee = 'Dora D.'", 'restored');
is(rights_of('maker', $node, 'restored'), 'open:11 orphan:00 tiny:11', 'all models of an owner are given away in one query');
is(rights_of($_, $node, 'restored'), 'open:10 orphan:00 tiny:00', "and $_ has nothing more") foreach ('annette', 'Dora D.');

# A server that lacks some of the roles.
my $other = PostgreSQL::Test::Cluster->new('other');
$other->init;
$other->start;
$other->safe_psql('postgres', 'CREATE ROLE "Dora D." LOGIN');
$node->command_ok([ 'pg_dump', '--no-owner', '--no-acl', '-f', $file, 'postgres' ], 'pg_dump --no-owner --no-acl');
like(restored($other, 'another server'), qr/WARNING:  role "annette" does not exist/, 'a missing role is told');
$other->safe_psql('postgres', 'CREATE ROLE annette LOGIN');
is(rights_of('annette', $other, 'restored'), 'open:10 orphan:00 tiny:00', 'a role that is made later has no rights');
is($other->safe_psql('restored', "SELECT pneumo_set_owner('tiny', 'annette'); SELECT owner FROM pneumo.models WHERE model = 'tiny'"), "\nannette", 'until it is given some');
$other->stop;

$node->stop;
done_testing();
