# A worker never has more rights than who asked for the training.

use strict;
use warnings;

use PneumoTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('main');
my $config = tiny_config();

add_phantoms($node, 120);
$node->safe_psql('postgres', q{
	CREATE ROLE lo LOGIN;
	CREATE ROLE nolo NOLOGIN;
	CREATE ROLE stranger LOGIN;
	GRANT nolo TO lo;
	GRANT CREATE ON SCHEMA public TO lo;
	GRANT EXECUTE ON FUNCTION pneumo_train(regclass, jsonb, boolean) TO lo, nolo;
	GRANT EXECUTE ON FUNCTION pneumo_resume(bigint, boolean) TO lo;
	GRANT SELECT (id, patient, label, image) ON xrays TO lo, nolo});

# as ROLE, SQL: status and error
sub as
{
	my ($role, $sql) = @_;
	my ($status, $stdout, $stderr) = $node->psql('postgres', $sql, extra_params => [ '-U', $role ]);

	return ($status, $stdout, $stderr);
}

my ($status, $stdout, $stderr) = as('stranger', "SELECT pneumo_train('xrays', '$config')");
isnt($status, 0, 'train is not for everybody');
like($stderr, qr/permission denied/, 'and says so');

($status, $stdout, $stderr) = as('lo', "SELECT pneumo_train('xrays', '$config')");
is($status, 0, 'column privileges are enough') or diag($stderr);
is($node->safe_psql('postgres', 'SELECT DISTINCT owner FROM pneumo.runs'), 'lo', 'the run is the caller\'s');
is($node->safe_psql('postgres', "SELECT owner FROM pneumo.models WHERE model = 'tiny'"), 'lo', 'and so is the model');

$node->safe_psql('postgres', 'CREATE TABLE secret AS SELECT * FROM xrays');
for my $wait ('true', 'false')
{
	($status, $stdout, $stderr) = as('lo', "SELECT pneumo_train('secret', '$config', $wait)");
	isnt($status, 0, "no rights on the table, wait $wait");
	like($stderr, qr/permission denied/, 'and says so');
}

# A role that may not log in, by SET ROLE.
($status, $stdout, $stderr) = as('lo', "SET ROLE nolo; SELECT pneumo_train('xrays', '" . tiny_config(name => '"of nolo"') . "')");
is($status, 0, 'SET ROLE to a role without login') or diag($stderr);
is($node->safe_psql('postgres', "SELECT owner FROM pneumo.models WHERE model = 'of nolo'"), 'nolo', 'the model is that role\'s');

# Rights are those of the role set, not of the session: nolo may read, lo may not.
$node->safe_psql('postgres', 'CREATE TABLE of_nolo AS SELECT * FROM xrays; GRANT SELECT ON of_nolo TO nolo;
	CREATE TABLE of_lo AS SELECT * FROM xrays; GRANT SELECT ON of_lo TO lo');
($status, $stdout, $stderr) = as('lo', "SET ROLE nolo; SELECT pneumo_train('of_lo', '" . tiny_config(name => '"x"') . "')");
isnt($status, 0, 'the session user\'s rights do not help after SET ROLE');

# Row-level security holds in the worker.
$node->safe_psql('postgres', q{
	CREATE TABLE rls AS SELECT * FROM xrays;
	ALTER TABLE rls ENABLE ROW LEVEL SECURITY;
	CREATE POLICY half ON rls FOR SELECT TO lo USING (id < 80);
	GRANT SELECT ON rls TO lo});
($status, $stdout, $stderr) = as('lo', "SELECT pneumo_train('rls', '" . tiny_config(name => '"rls"') . "')");
is($status, 0, 'trains on the rows that a policy shows') or diag($stderr);
is( $node->safe_psql('postgres', q{
	SELECT sum(n::int)
	FROM pneumo.runs r, jsonb_path_query(r.samples, 'strict $.rows.*.*') n WHERE r.model = 'rls'}),
	'80', 'and on no other row');
($status, $stdout, $stderr) = as('lo', "SET row_security = off; SELECT pneumo_train('rls', '" . tiny_config(name => '"rls off"') . "')");
isnt($status, 0, 'row_security = off is handed over');
like($stderr, qr/row-level security/, 'and is an error as in a query');

# A view that tries to become somebody else.  What it finds out, it says in an
# error, since a training's transaction cannot write.
my $superuser = $node->safe_psql('postgres', 'SELECT current_user');
$node->safe_psql('postgres', q{
	CREATE FUNCTION public.become() RETURNS text LANGUAGE plpgsql AS $$
	DECLARE
		attempt text;
	BEGIN
		FOREACH attempt IN ARRAY ARRAY['RESET ROLE', 'SET ROLE } . $superuser . q{',
			'RESET SESSION AUTHORIZATION', 'SET SESSION AUTHORIZATION } . $superuser . q{'] LOOP
			BEGIN
				EXECUTE attempt;
			EXCEPTION WHEN OTHERS THEN
				NULL;
			END;
			IF (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user) THEN
				RAISE EXCEPTION 'escaped by % to %', attempt, current_user;
			END IF;
		END LOOP;
		RETURN 'NORMAL';
	END $$;
	ALTER FUNCTION public.become() OWNER TO lo;
	CREATE VIEW public.evil AS SELECT id, patient, image, CASE WHEN id % 2 = 0 THEN public.become() ELSE 'PNEUMONIA' END AS label FROM public.xrays;
	ALTER VIEW public.evil OWNER TO lo;
	GRANT SELECT ON public.evil TO nolo});
my $case = 0;
for my $how (
	[ 'lo', '' ],
	[ 'lo', 'SET ROLE nolo;' ],
	[ $superuser, 'SET ROLE nolo;' ],
	[ $superuser, 'SET ROLE lo;' ],
	[ $superuser, 'SET SESSION AUTHORIZATION lo;' ])
{
	my ($user, $set) = @$how;
	my $evil = tiny_config(name => '"evil ' . ++$case . '"', group_column => 'null');

	($status, $stdout, $stderr) = as($user, "$set SELECT pneumo_train('evil', '$evil')");
	unlike($stderr, qr/escaped/, "a view does not escape ($user: $set)");
	($status, $stdout, $stderr) = as($user, "$set SELECT pneumo_train('evil', '$evil', wait => false)");
	my ($run) = $stdout =~ /(\d+)\s*$/;
	if (defined $run)
	{
		wait_for($node, "SELECT state NOT IN ('queued', 'running') FROM pneumo.runs WHERE run = $run", 'the run to end');
		unlike($node->safe_psql('postgres', "SELECT coalesce(error, '') FROM pneumo.runs WHERE run = $run"),
			qr/escaped/, 'nor without waiting');
	}
	else
	{
		unlike($stderr, qr/escaped/, 'nor without waiting');
	}
}

# A view that writes.
$node->safe_psql('postgres', q{
	CREATE TABLE public.loot (who text);
	ALTER TABLE public.loot OWNER TO lo;
	CREATE FUNCTION public.take() RETURNS text LANGUAGE plpgsql AS $$
	BEGIN
		INSERT INTO public.loot VALUES (current_user);
		RETURN 'NORMAL';
	END $$;
	CREATE VIEW public.writing AS SELECT id, patient, image, CASE WHEN id % 2 = 0 THEN public.take() ELSE 'PNEUMONIA' END AS label FROM public.xrays;
	ALTER VIEW public.writing OWNER TO lo;
	GRANT SELECT ON public.writing TO lo});
($status, $stdout, $stderr) = as('lo', "SELECT pneumo_train('writing', '" . tiny_config(name => '"w"', group_column => 'null') . "')");
isnt($status, 0, 'a training reads and does not write');
like($stderr, qr/read-only/, 'and says so');
is($node->safe_psql('postgres', 'SELECT count(*) FROM public.loot'), '0', 'nothing was written');

# Temporary tables are the session's own.
($status, $stdout, $stderr) = as('lo', "CREATE TEMP TABLE t AS SELECT * FROM xrays LIMIT 0; SELECT pneumo_train('t', '$config')");
isnt($status, 0, 'temporary tables are refused');
like($stderr, qr/temporary/, 'and the error says so');

# Models: predict needs the privilege, at once and without a reconnect.
my $session = $node->background_psql('postgres', on_error_stop => 0, extra_params => [ '-U', 'stranger' ]);
my $predict = "SELECT count(pneumo_predict(pneumo_phantom(1, 'NORMAL'), 'tiny'))";
$session->query($predict);
like($session->{stderr}, qr/permission denied|does not exist/, 'no predict without the privilege');
$session->{stderr} = '';
$node->safe_psql('postgres', "SELECT pneumo_grant('tiny', 'stranger', 'predict')");
is($session->query($predict), '1', 'predict with it');
$node->safe_psql('postgres', "SELECT pneumo_revoke('tiny', 'stranger', 'predict')");
$session->query($predict);
like($session->{stderr}, qr/permission denied|does not exist/, 'REVOKE holds at once, cached or not');
$session->quit;

# Runs of others: neither seen nor cancelled.
is((as('stranger', 'SELECT count(*) FROM pneumo.runs'))[1], '0', 'runs of others are not shown');
is((as('stranger', 'SELECT count(*) FROM pneumo.models'))[1], '0', 'nor their models');
my $slow = (as('lo', "SELECT pneumo_train('xrays', '" . slow_config(name => '"slow"') . "', wait => false)"))[1];
($status, $stdout, $stderr) = as('stranger', "SELECT pneumo_cancel($slow)");
isnt($status, 0, 'runs of others are not cancelled');
$node->safe_psql('postgres', 'GRANT pg_signal_backend TO stranger');
($status, $stdout, $stderr) = as('stranger', "SELECT pneumo_cancel($slow)");
is($status, 0, 'except by pg_signal_backend') or diag($stderr);
is((as('stranger', 'SELECT count(*) FROM pneumo.progress'))[1] // '', '0', 'nor their progress shown');
$node->safe_psql('postgres', "SELECT pneumo_cancel($slow)") if $status != 0;
wait_for($node, "SELECT state = 'cancelled' FROM pneumo.runs WHERE run = $slow", 'the run to be cancelled');

# Base tables are out of reach.
for my $table ('model', 'version', 'chunk', 'run', 'privilege')
{
	($status, $stdout, $stderr) = as('lo', "SELECT * FROM pneumo.$table LIMIT 1");
	like($stderr, qr/permission denied/, "pneumo.$table is out of reach");
}

$node->stop;
done_testing();
