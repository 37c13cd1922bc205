-- The relations of schema pneumo: models, their versions, rights, deployments
-- and runs.  Base tables are for the extension's C code alone, which checks
-- rights itself and writes without triggers (so there are no foreign keys);
-- everybody else reads the views, which show what is one's own or granted.

CREATE SCHEMA pneumo;
COMMENT ON SCHEMA pneumo IS
	'models, versions, runs and rights of the extension pneumo; the functions are in the schema the '
	'extension was created in';
GRANT USAGE ON SCHEMA pneumo TO PUBLIC;

-- --------------------------------------------------------------------- roles

CREATE TYPE pneumo.role;
CREATE FUNCTION pneumo_role_in(cstring) RETURNS pneumo.role
	LANGUAGE C STABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pneumo_role_in';
COMMENT ON FUNCTION pneumo_role_in(cstring) IS 'input of the type pneumo.role';
CREATE FUNCTION pneumo_role_out(pneumo.role) RETURNS cstring
	LANGUAGE C STABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pneumo_role_out';
COMMENT ON FUNCTION pneumo_role_out(pneumo.role) IS 'output of the type pneumo.role';
CREATE TYPE pneumo.role (INPUT = pneumo_role_in, OUTPUT = pneumo_role_out, LIKE = pg_catalog.oid);
COMMENT ON TYPE pneumo.role IS
	'the OID of a role, written as its present name; 0 is everybody, written public; a role that does not '
	'exist is read as nobody';
CREATE CAST (pneumo.role AS pg_catalog.oid) WITHOUT FUNCTION AS IMPLICIT;
COMMENT ON CAST (pneumo.role AS pg_catalog.oid) IS 'the OID of the role';
REVOKE USAGE ON TYPE pneumo.role FROM PUBLIC;

-- ----------------------------------------------------------------- sequences

CREATE SEQUENCE pneumo.model_id_seq;
COMMENT ON SEQUENCE pneumo.model_id_seq IS 'ids of pneumo.model';
CREATE SEQUENCE pneumo.version_id_seq;
COMMENT ON SEQUENCE pneumo.version_id_seq IS 'ids of pneumo.version';
CREATE SEQUENCE pneumo.deployment_id_seq;
COMMENT ON SEQUENCE pneumo.deployment_id_seq IS 'ids of pneumo.deployment';
CREATE SEQUENCE pneumo.run_id_seq;
COMMENT ON SEQUENCE pneumo.run_id_seq IS 'ids of pneumo.run';
CREATE SEQUENCE pneumo.look_id_seq;
COMMENT ON SEQUENCE pneumo.look_id_seq IS 'ids of pneumo.look';

-- ---------------------------------------------------------------- base tables
-- Texts that are looked up have the C collation: index scans from C compare so.
-- Columns of type pneumo.role give rights: they follow a role that is renamed,
-- and a role that was dropped leaves rows that give nothing to anybody.  Columns
-- of type name (creator, grantor, role) say who it was, by the name at that time.
-- Columns named model and version are ids; version_number, beside such an id, is
-- the version's number within its model, which the views show as version.

CREATE TABLE pneumo.model (
	id bigint NOT NULL,
	name text COLLATE "C" NOT NULL,
	owner pneumo.role NOT NULL,
	created timestamptz NOT NULL,
	comment text,
	last_number integer NOT NULL,
	CONSTRAINT model_pkey PRIMARY KEY (id),
	CONSTRAINT model_name_key UNIQUE (name)
);
COMMENT ON TABLE pneumo.model IS
	'a name with versions; at most one version is deployed; last_number is the highest number that a version '
	'has had, 0 if there was none';

CREATE TABLE pneumo.version (
	id bigint NOT NULL,
	model bigint NOT NULL,
	number integer NOT NULL,
	run bigint,
	sha256 bytea NOT NULL,
	created timestamptz NOT NULL,
	creator name NOT NULL,
	parameters bigint NOT NULL,
	bytes bigint NOT NULL,
	image_size integer[] NOT NULL,
	classes text[] NOT NULL,
	threshold double precision,
	operating_point jsonb NOT NULL,
	calibration jsonb NOT NULL,
	metrics jsonb,
	provenance jsonb,
	comment text,
	precision text NOT NULL,
	findings jsonb,
	CONSTRAINT version_pkey PRIMARY KEY (id),
	CONSTRAINT version_number_key UNIQUE (model, number)
);
CREATE INDEX version_sha256_idx ON pneumo.version (sha256, id);
COMMENT ON TABLE pneumo.version IS
	'immutable versions of models; sha256 is the digest of the model bytes, which cover everything that '
	'decides a score; number counts from 1 within the model and is never given again, id is unique in the '
	'database';

CREATE TABLE pneumo.chunk (
	sha256 bytea NOT NULL,
	seqno integer NOT NULL,
	data bytea NOT NULL,
	CONSTRAINT chunk_pkey PRIMARY KEY (sha256, seqno)
);
ALTER TABLE pneumo.chunk ALTER COLUMN data SET STORAGE EXTERNAL;
COMMENT ON TABLE pneumo.chunk IS
	'model bytes in pieces of 4 MB, seqno from 0; versions of equal sha256 share them';

CREATE TABLE pneumo.manifest (
	version bigint NOT NULL,
	seqno integer NOT NULL,
	data bytea NOT NULL,
	CONSTRAINT manifest_pkey PRIMARY KEY (version, seqno)
);
ALTER TABLE pneumo.manifest ALTER COLUMN data SET STORAGE EXTERNAL;
COMMENT ON TABLE pneumo.manifest IS
	'the samples that a version and its ancestors were trained on (image hash, group hash, split), in pieces '
	'of 4 MB, seqno from 0';

CREATE TABLE pneumo.privilege (
	model bigint NOT NULL,
	grantee pneumo.role NOT NULL,
	privilege text COLLATE "C" NOT NULL,
	grantor name NOT NULL,
	granted timestamptz NOT NULL
);
-- Not unique: several roles can be missing where a dump is restored.
CREATE INDEX privilege_model_idx ON pneumo.privilege (model);
COMMENT ON TABLE pneumo.privilege IS
	'privileges predict, manage and export on models; grantee public is everybody';

CREATE TABLE pneumo.deployment (
	id bigint NOT NULL,
	model bigint NOT NULL,
	version bigint NOT NULL,
	version_number integer NOT NULL,
	action text COLLATE "C" NOT NULL,
	previous bigint,
	role name NOT NULL,
	deployed timestamptz NOT NULL,
	CONSTRAINT deployment_pkey PRIMARY KEY (id)
);
CREATE INDEX deployment_model_idx ON pneumo.deployment (model, id);
COMMENT ON TABLE pneumo.deployment IS
	'append-only: which version was deployed when and by whom; the last row of a model names its deployed '
	'version, previous is the deployment that a rollback goes back to';

CREATE TABLE pneumo.run (
	id bigint NOT NULL,
	model text COLLATE "C" NOT NULL,
	version bigint,
	version_number integer,
	owner pneumo.role NOT NULL,
	source text NOT NULL,
	source_oid oid,
	state text COLLATE "C" NOT NULL,
	config jsonb NOT NULL,
	settings jsonb,
	samples jsonb,
	left_out jsonb,
	created timestamptz NOT NULL,
	started timestamptz,
	finished timestamptz,
	epochs integer,
	epoch integer,
	best_epoch integer,
	metrics jsonb,
	fingerprint bytea,
	sqlstate text,
	error text,
	build text,
	CONSTRAINT run_pkey PRIMARY KEY (id),
	CONSTRAINT run_state_check CHECK (
		state OPERATOR(pg_catalog.=) ANY (
			ARRAY['queued', 'running', 'succeeded', 'failed', 'cancelled', 'interrupted']))
);
COMMENT ON TABLE pneumo.run IS
	'trainings: state as stored (the view pneumo.runs also knows whether the worker lives), config as given, '
	'samples per split and class, what was left out and why';

CREATE TABLE pneumo.epoch (
	run bigint NOT NULL,
	epoch integer NOT NULL,
	loss double precision,
	accuracy double precision,
	val_loss double precision,
	val_accuracy double precision,
	val_auc double precision,
	learning_rate double precision,
	seconds double precision,
	val_seconds double precision,
	CONSTRAINT history_pkey PRIMARY KEY (run, epoch)
);
COMMENT ON TABLE pneumo.epoch IS 'one row for each epoch, as in Keras''s History; epochs count from 1';

CREATE TABLE pneumo.look (
	id bigint NOT NULL,
	sha256 bytea NOT NULL,
	version bigint NOT NULL,
	looked timestamptz NOT NULL,
	role name NOT NULL,
	split text COLLATE "C" NOT NULL,
	source text NOT NULL,
	images bigint,
	metrics jsonb,
	CONSTRAINT look_pkey PRIMARY KEY (id)
);
CREATE INDEX look_sha256_idx ON pneumo.look (sha256, id);
COMMENT ON TABLE pneumo.look IS
	'looks at the held-out rows of versions, by SHA-256, written so that a rollback does not undo them; kept '
	'when the version is dropped';

REVOKE ALL ON pneumo.model, pneumo.version, pneumo.chunk, pneumo.manifest, pneumo.privilege,
	pneumo.deployment, pneumo.run, pneumo.epoch, pneumo.look FROM PUBLIC;
REVOKE ALL ON SEQUENCE pneumo.model_id_seq, pneumo.version_id_seq, pneumo.deployment_id_seq,
	pneumo.run_id_seq, pneumo.look_id_seq FROM PUBLIC;

-- What pg_dump keeps: everything but runs that have not finished.

SELECT pg_catalog.pg_extension_config_dump('pneumo.model_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('pneumo.version_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('pneumo.deployment_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('pneumo.run_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('pneumo.look_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('pneumo.model', '');
SELECT pg_catalog.pg_extension_config_dump('pneumo.version', '');
SELECT pg_catalog.pg_extension_config_dump('pneumo.chunk', '');
SELECT pg_catalog.pg_extension_config_dump('pneumo.manifest', '');
SELECT pg_catalog.pg_extension_config_dump('pneumo.privilege', '');
SELECT pg_catalog.pg_extension_config_dump('pneumo.deployment', '');
SELECT pg_catalog.pg_extension_config_dump('pneumo.look', '');
SELECT pg_catalog.pg_extension_config_dump('pneumo.run',
	$$WHERE state NOT IN ('queued', 'running')$$);
SELECT pg_catalog.pg_extension_config_dump('pneumo.epoch',
	$$WHERE run IN (SELECT id FROM pneumo.run WHERE state NOT IN ('queued', 'running'))$$);

-- ---------------------------------------------- functions that the views need

CREATE FUNCTION pneumo_has_privilege(model text, privilege text) RETURNS boolean
	LANGUAGE C STABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pneumo_has_privilege';
COMMENT ON FUNCTION pneumo_has_privilege(text, text) IS
	'whether the current user has a privilege on a model: predict, manage, export, owner, or any (one of '
	'them); false if there is no such model';

CREATE FUNCTION pneumo_run_state(run bigint, stored text) RETURNS text
	LANGUAGE C STABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pneumo_run_state';
COMMENT ON FUNCTION pneumo_run_state(bigint, text) IS
	'the state of a run given its stored state: interrupted where queued or running is stored and no worker '
	'has it; on a standby the stored state';

CREATE FUNCTION pneumo_cache_entries(
		OUT sha256 bytea, OUT version_id bigint, OUT place text, OUT state text, OUT path text,
		OUT bytes bigint, OUT hits bigint, OUT last_used timestamptz, OUT mapped boolean,
		OUT "precision" text)
	RETURNS SETOF record
	LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED
	AS 'MODULE_PATHNAME', 'pneumo_cache_entries';
COMMENT ON FUNCTION pneumo_cache_entries() IS
	'what pneumo.cache shows: versions of this database in shared memory, and the copies of this session; '
	'those that the current user may see (pg_monitor: all)';

-- --------------------------------------------------------------------- views

CREATE VIEW pneumo.models WITH (security_barrier) AS
	SELECT m.name AS model,
		   (SELECT r.rolname FROM pg_catalog.pg_roles r WHERE r.oid OPERATOR(pg_catalog.=) m.owner) AS owner,
		   d.version_number AS deployed_version, d.version AS deployed_version_id,
		   v.sha256 AS deployed_sha256,
		   v.classes, v.image_size, d.deployed,
		   (SELECT pg_catalog.count(*) FROM pneumo.version n WHERE n.model OPERATOR(pg_catalog.=) m.id) AS versions,
		   m.created, m.comment
	FROM pneumo.model m
	LEFT JOIN LATERAL (
		SELECT l.version, l.version_number, l.deployed FROM pneumo.deployment l
		WHERE l.model OPERATOR(pg_catalog.=) m.id ORDER BY l.id DESC LIMIT 1) d ON true
	LEFT JOIN pneumo.version v ON v.id OPERATOR(pg_catalog.=) d.version
	WHERE @extschema@.pneumo_has_privilege(m.name, 'any');
COMMENT ON VIEW pneumo.models IS
	'models that the current user owns or has a privilege on, with their deployed versions (deployed_version '
	'is the number within the model, deployed_version_id unique in the database); owner is null if that role '
	'was dropped';

CREATE VIEW pneumo.versions WITH (security_barrier) AS
	SELECT m.name AS model, v.number AS version, v.id AS version_id, v.sha256, v.run, v.created, v.creator,
		   v.parameters, v.bytes, v.image_size, v.classes, v.threshold, v.operating_point,
		   v.calibration, v.metrics, v.provenance, v.comment, v.precision, v.findings,
		   (SELECT pg_catalog.count(*) FROM pneumo.look l
			WHERE l.sha256 OPERATOR(pg_catalog.=) v.sha256) AS test_looks,
		   COALESCE(v.id OPERATOR(pg_catalog.=) (
				SELECT d.version FROM pneumo.deployment d
				WHERE d.model OPERATOR(pg_catalog.=) m.id ORDER BY d.id DESC LIMIT 1), false) AS deployed
	FROM pneumo.version v
	JOIN pneumo.model m ON m.id OPERATOR(pg_catalog.=) v.model
	WHERE @extschema@.pneumo_has_privilege(m.name, 'any');
COMMENT ON VIEW pneumo.versions IS
	'versions of the models that the current user owns or has a privilege on; version is the number within '
	'the model, 1 for its first one and never given again, by which functions that are given a model know '
	'it; version_id is unique in the database; bytes of the stored model, image_size as [height, width], '
	'classes in label order, metrics on validation data, precision the arithmetic of predictions (float32 '
	'or int16); of a version whose images have several findings, findings has threshold and calibration of '
	'each, threshold is NULL, and calibration is the kind of all that were fitted';

CREATE VIEW pneumo.deployments WITH (security_barrier) AS
	SELECT m.name AS model, d.version_number AS version, d.version AS version_id, v.sha256,
		   d.action, d.role, d.deployed,
		   d.id OPERATOR(pg_catalog.=) (
				SELECT pg_catalog.max(l.id) FROM pneumo.deployment l
				WHERE l.model OPERATOR(pg_catalog.=) d.model) AS current
	FROM pneumo.deployment d
	JOIN pneumo.model m ON m.id OPERATOR(pg_catalog.=) d.model
	LEFT JOIN pneumo.version v ON v.id OPERATOR(pg_catalog.=) d.version
	WHERE @extschema@.pneumo_has_privilege(m.name, 'any');
COMMENT ON VIEW pneumo.deployments IS
	'which version was deployed when and by whom (action: first, deploy or rollback); version is the number '
	'within the model, version_id unique in the database; sha256 is null once the version was dropped';

CREATE VIEW pneumo.privileges WITH (security_barrier) AS
	SELECT m.name AS model,
		   CASE WHEN p.grantee OPERATOR(pg_catalog.=) 0::pg_catalog.oid THEN 'public'::pg_catalog.name
				ELSE r.rolname END AS grantee,
		   p.privilege, p.grantor, p.granted
	FROM pneumo.privilege p
	LEFT JOIN pg_catalog.pg_roles r ON r.oid OPERATOR(pg_catalog.=) p.grantee
	JOIN pneumo.model m ON m.id OPERATOR(pg_catalog.=) p.model
	WHERE @extschema@.pneumo_has_privilege(m.name, 'any');
COMMENT ON VIEW pneumo.privileges IS
	'privileges granted on the models that the current user owns or has a privilege on; grantee public is '
	'everybody, null a role that was dropped';

CREATE VIEW pneumo.history WITH (security_barrier) AS
	SELECT e.run, e.epoch, e.loss, e.accuracy, e.val_loss, e.val_accuracy, e.val_auc,
		   e.learning_rate, e.seconds, e.val_seconds
	FROM pneumo.epoch e
	JOIN pneumo.run r ON r.id OPERATOR(pg_catalog.=) e.run
	WHERE pg_catalog.pg_has_role('pg_monitor', 'USAGE')
	   OR pg_catalog.pg_has_role(r.owner::pg_catalog.oid, 'USAGE');
COMMENT ON VIEW pneumo.history IS
	'the epochs of the runs in pneumo.runs: running means over the augmented training batches, validation '
	'figures, learning rate, seconds of the training part and of the validation';

CREATE VIEW pneumo.cache WITH (security_barrier) AS
	SELECT c.sha256, c.version_id, c.place, c.state, c.path, c.bytes, c.hits, c.last_used, c.mapped, c.precision
	FROM @extschema@.pneumo_cache_entries() c;
COMMENT ON VIEW pneumo.cache IS
	'model versions ready to predict: version_id is unique in the database, as in pneumo.versions; place '
	'is shared (one copy for the server) or local (a copy of this session, where shared memory could not '
	'hold it), path the kernels it is packed for, mapped whether this session has it attached, precision '
	'that of the weights there: explanations of an int16 version have its float32 weights as a second row';

GRANT SELECT ON pneumo.models, pneumo.versions, pneumo.deployments, pneumo.privileges,
	pneumo.history, pneumo.cache TO PUBLIC;
