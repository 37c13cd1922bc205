# Databases that are copied, renamed, dumped and restored, with their models;
# roles that own models and go; databases of other encodings.

use strict;
use warnings;

use PneumoTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('main');
sub sql { return $node->safe_psql($_[1] // 'postgres', $_[0]); }

# A source database: extension in a schema of its own, a model, a run, grants.
sql("CREATE DATABASE clinic ENCODING 'UTF8' LOCALE 'C' TEMPLATE template0");
sql('CREATE SCHEMA tools; GRANT USAGE ON SCHEMA tools TO PUBLIC; CREATE EXTENSION pneumo SCHEMA tools; ALTER DATABASE clinic SET search_path = public, tools', 'clinic');
add_phantoms($node, 60, db => 'clinic');
sql('CREATE ROLE radiologist; CREATE ROLE trainee; GRANT radiologist TO CURRENT_USER');
my $run = train($node, tiny_config(), db => 'clinic');
is(sql("SELECT pneumo_import(pneumo_export('tiny'), 'tiny')", 'clinic'), '2', 'a second version');
sql("SELECT pneumo_drop_version('tiny', 2)", 'clinic');
sql("SELECT pneumo_set_owner('tiny', 'radiologist'); SELECT pneumo_grant('tiny', 'trainee', 'predict')", 'clinic');
my $expected = scores($node, 'tiny', db => 'clinic');
my $catalog = q{SELECT model, owner, (SELECT count(*) FROM pneumo.versions), (SELECT count(*) FROM pneumo.runs),
	(SELECT count(*) FROM pneumo.history), (SELECT count(*) FROM pneumo.privileges), deployed_version,
	(SELECT string_agg(concat_ws(' ', v.model, v.version, r.version, d.version), ', ') FROM pneumo.versions v
	 JOIN pneumo.runs r USING (version_id) JOIN pneumo.deployments d USING (version_id)) FROM pneumo.models};
my $rows = sql($catalog, 'clinic');
is($rows, 'tiny|radiologist|1|1|2|1|1|tiny 1 1 1', 'the source');

# ---------------------------------------------------------------- copies

sql('CREATE DATABASE copy TEMPLATE clinic; ALTER DATABASE copy SET search_path = public, tools');
is(scores($node, 'tiny', db => 'copy'), $expected, 'CREATE DATABASE … TEMPLATE: the copy scores the same');
is(sql($catalog, 'copy'), $rows, 'and has the models and runs');
is(sql('SELECT count(DISTINCT database) FROM (SELECT datid AS database FROM pg_stat_database) x LIMIT 1') > 0, 1, 'both live');
my ($status, $stdout, $stderr) = $node->psql('copy', "SELECT pneumo_resume($run)");
like($stderr, qr/has succeeded/, 'a run of the original has no life in the copy');
sql("SELECT pneumo_drop_model('tiny')", 'copy');
is(scores($node, 'tiny', db => 'clinic'), $expected, 'dropping it in the copy leaves the original');
is(train($node, tiny_config(), db => 'copy'), $run + 1, 'the copy counts its runs on');
sql('ALTER DATABASE copy RENAME TO archive');
is(scores($node, 'tiny', db => 'archive') ne '', 1, 'ALTER DATABASE … RENAME: it predicts');
sql('DROP DATABASE archive');

# ---------------------------------------------------------------- dumps

my $dumps = $node->basedir;
sub dump_as { my ($file, @option) = @_; $node->command_ok(['pg_dump', @option, '-f', "$dumps/$file", 'clinic'], "pg_dump @option"); }

dump_as('all.custom', '-Fc');
dump_as('all.sql');
dump_as('schema.sql', '--schema-only');
dump_as('data.sql', '--data-only');

sub same
{
	my ($n, $db, $how) = @_;
	is($n->safe_psql($db, "SET search_path = public, tools, other; SET extra_float_digits = 3;
		SELECT id, pneumo_predict(image, 'tiny') FROM xrays WHERE id < 8 ORDER BY id"), $expected, "$how: the same scores");
	is($n->safe_psql($db, "SET search_path = public, tools, other; $catalog"), $rows, "$how: the same models, runs and grants");
}

sql("CREATE DATABASE custom ENCODING 'UTF8' LOCALE 'C' TEMPLATE template0");
$node->command_ok(['pg_restore', '--exit-on-error', '-d', 'custom', "$dumps/all.custom"], 'restored from -Fc');
same($node, 'custom', 'pg_dump -Fc');
is(train($node, tiny_config(), db => 'custom', table => 'public.xrays'), $run + 1, 'sequences go on') if sql('ALTER DATABASE custom SET search_path = public, tools') eq '';
is(sql('SELECT array_agg(version ORDER BY version) FROM pneumo.versions', 'custom'), '{1,3}', 'and so do numbers: that of a dropped version is not given again');

sql("CREATE DATABASE plain ENCODING 'UTF8' LOCALE 'C' TEMPLATE template0");
$node->command_ok(['psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', 'plain', '-f', "$dumps/all.sql"], 'restored from a plain dump');
same($node, 'plain', 'plain');

sql("CREATE DATABASE halves ENCODING 'UTF8' LOCALE 'C' TEMPLATE template0");
$node->command_ok(['psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', 'halves', '-f', "$dumps/schema.sql"], 'the schema alone');
is($node->safe_psql('halves', 'SELECT count(*) FROM pneumo.models'), '0', 'has no models');
$node->command_ok(['psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', 'halves', '-f', "$dumps/data.sql"], 'the data after it');
same($node, 'halves', '--schema-only and --data-only');

# Where the extension is already there, in another schema: the relations of
# schema pneumo are the same, whatever the functions' schema is.
sql("CREATE DATABASE elsewhere ENCODING 'UTF8' LOCALE 'C' TEMPLATE template0");
sql('CREATE SCHEMA other; CREATE EXTENSION pneumo SCHEMA other; CREATE SCHEMA tools;
	CREATE TABLE xrays (id integer PRIMARY KEY, patient text NOT NULL, label text NOT NULL, image bytea NOT NULL)', 'elsewhere');
$node->command_ok(['psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', 'elsewhere', '-f', "$dumps/data.sql"], 'the data into an extension in another schema');
same($node, 'elsewhere', 'another schema');

# As an upgrade of the server by dump: all databases and roles, a new cluster.
$node->command_ok(['pg_dumpall', '-f', "$dumps/everything.sql"], 'pg_dumpall');
my $new = PostgreSQL::Test::Cluster->new('new');
$new->init;
$new->append_conf('postgresql.conf', "pneumo.simd = 'reference'\npneumo.blas_library = 'none'\npneumo.train_threads = 1");
$new->start;
$new->run_log(['psql', '-X', '-q', '-d', 'postgres', '-f', "$dumps/everything.sql"]);
same($new, 'clinic', 'a new cluster');
is($new->safe_psql('clinic', "SET ROLE trainee; SET search_path = public, tools; SELECT count(pneumo_predict(tools.pneumo_phantom(1, 'NORMAL'), 'tiny'))"),
	'1', 'grants hold there');
$new->stop;

# ---------------------------------------------------------------- roles

sql('REASSIGN OWNED BY radiologist TO CURRENT_USER; DROP OWNED BY radiologist', 'clinic');
sql('DROP ROLE radiologist');
is(scores($node, 'tiny', db => 'clinic'), $expected, 'the model of a dropped role is there, for a superuser');
is(sql("SET ROLE trainee; SET search_path = public, tools; SELECT count(pneumo_predict(pneumo_phantom(1, 'NORMAL'), 'tiny'))", 'clinic'),
	'1', 'and for whom it was granted to');
sql("SELECT pneumo_set_owner('tiny', 'trainee')", 'clinic');
is(sql('SELECT owner FROM pneumo.models', 'clinic'), 'trainee', 'a superuser can give it to somebody');
# A run whose owner is gone.
sql('CREATE ROLE short_lived LOGIN; GRANT SELECT ON xrays TO short_lived; GRANT EXECUTE ON FUNCTION tools.pneumo_train TO short_lived; GRANT USAGE ON SCHEMA tools TO short_lived', 'clinic');
my $theirs = $node->safe_psql('clinic', "SET search_path = public, tools; SELECT pneumo_train('xrays', \$\$" . slow_config(name => '"gone"') . '$$, wait => false)',
	extra_params => ['-U', 'short_lived']);
wait_for_epoch($node, $theirs, 1, 'clinic');
sql('DROP OWNED BY short_lived', 'clinic');
($status, $stdout, $stderr) = $node->psql('clinic', 'DROP ROLE short_lived');
is($status, 0, 'a role can be dropped while it trains');
wait_for($node, "SELECT NOT EXISTS (SELECT FROM pneumo.progress)", 'the run to end', 'clinic')
  unless sql("SELECT pneumo_cancel($theirs)", 'clinic') eq '';
wait_for($node, "SELECT NOT EXISTS (SELECT FROM pneumo.progress)", 'the run to end', 'clinic');
like(sql("SELECT state FROM pneumo.run WHERE id = $theirs", 'clinic'), qr/cancelled|failed/, 'its run ends');
($status, $stdout, $stderr) = $node->psql('clinic', "SELECT pneumo_resume($theirs)");
like($stderr, qr/the role that owned training run $theirs was dropped/, 'and cannot be resumed');
sql("SELECT pneumo_forget($theirs)", 'clinic');

# ------------------------------------------------------------- encodings

foreach my $encoding ('LATIN1', 'SQL_ASCII')
{
	my $db = lc $encoding;

	sql("CREATE DATABASE $db ENCODING '$encoding' LOCALE 'C' TEMPLATE template0");
	$node->safe_psql($db, 'CREATE EXTENSION pneumo');
	my $made = $node->safe_psql($db, q{
		SET client_encoding = 'UTF8';
		CREATE TABLE xrays AS SELECT i AS id, 'Patient Ä' || i / 2 AS patient, CASE (i / 2) % 2 WHEN 0 THEN 'gesünd' ELSE 'lungenentzündet' END AS label,
			pneumo_phantom(i, CASE (i / 2) % 2 WHEN 0 THEN 'NORMAL' ELSE 'PNEUMONIA' END) AS image FROM generate_series(0, 59) i;
		SELECT pneumo_train('xrays', $${"name": "Müller", "positive_class": "lungenentzündet", "comment": "für später", "image_size": [16, 16], "epochs": 1,
			"group_column": "patient", "validation_split": 0.25, "test_split": 0.25, "verbose": 0,
			"layers": [{"class_name": "Flatten"}, {"class_name": "Dense", "config": {"name": "köpfe", "units": 1, "activation": "sigmoid"}}]}$$) > 0});
	is($made, 't', "$encoding: trained");
	is($node->safe_psql($db, q{SET client_encoding = 'UTF8'; SELECT model, comment FROM pneumo.versions; SELECT DISTINCT pneumo_classify(image, 'Müller') IN ('gesünd', 'lungenentzündet') FROM xrays;
		SELECT layer FROM pneumo_summary('Müller') WHERE class_name = 'Dense'; SELECT source, config->>'name' FROM pneumo.runs}),
		"Müller|für später\nt\nköpfe\npublic.xrays|Müller", "$encoding: names come back as they were")
	  if $encoding eq 'LATIN1';
	is($node->safe_psql($db, q{SELECT pneumo_predict(image, model) IS NOT NULL FROM xrays, pneumo.models LIMIT 1}), 't', "$encoding: predicts");
	is($node->safe_psql($db, q{SELECT length(pneumo_report(model, 'xrays')::text) > 10000 FROM pneumo.models}), 't', "$encoding: a report");
	($status, $stdout, $stderr) = $node->psql($db, q{SET client_encoding = 'UTF8'; SELECT pneumo_plan('xrays', '{"modél": 1}')});
	like($stderr, qr/unknown config key "mod.+l"/, "$encoding: errors");
	my $export = $node->safe_psql($db, q{SELECT encode(sha256(pneumo_export(model)), 'hex') FROM pneumo.models});
	like($export, qr/^[0-9a-f]{64}$/, "$encoding: exported");
}
# Names of files are bytes.
my $folder = $node->basedir . '/named';
system_or_bail('mkdir', '-p', "$folder/NORMAL");
append_to_file("$folder/NORMAL/r\xf6ntgen.jpg", "\xff\xd8\xff");
($status, $stdout, $stderr) = $node->psql('sql_ascii', "SELECT count(*) FROM (SELECT pneumo_load('$folder', 'named')) x; SELECT file LIKE 'NORMAL/r%ntgen.jpg' FROM named");
like($stdout, qr/^1\nt$/, 'a file name of LATIN1 in SQL_ASCII') or note($stderr);
($status, $stdout, $stderr) = $node->psql('clinic', "SELECT tools.pneumo_load('$folder', 'named')");
like($stderr, qr/ERROR:  the name of file "NORMAL\/r\\xf6ntgen.jpg" is not valid in the database's encoding, UTF8/, 'the same in UTF8: an error that shows it');

# Bytes that are no text in the other encoding.
my $bytes = $node->safe_psql('latin1', q{SELECT encode(pneumo_export(model), 'hex') FROM pneumo.models});
($status, $stdout, $stderr) = $node->psql('clinic', "SELECT pneumo_import(decode('$bytes', 'hex'), 'foreign'); SELECT pneumo_classify(image, 'foreign') FROM xrays LIMIT 1");
like($stdout, qr/gesünd|lungenentzündet/, 'a model of another encoding: the names of its classes are converted');

$node->stop;
done_testing();
