-- The page about a version and its data.

CREATE FUNCTION pneumo_report(model text, source regclass DEFAULT NULL, config jsonb DEFAULT '{}')
	RETURNS text
	LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000000
	AS 'MODULE_PATHNAME', 'pneumo_report';
COMMENT ON FUNCTION pneumo_report(text, regclass, jsonb) IS
	'one HTML page, complete in itself and without script, about a model''s deployed version and a table of '
	'the kind it was trained on: summary with warnings and a verdict by fixed rules, data, sample, mean and '
	'contrast images, eigenimages, network, epochs, figures with 95 % intervals by patient, score '
	'histograms, curves, thresholds, subgroups, calibration, operating point, failures with overlays and '
	'neighbours, provenance, limits. Config: test (true; the test split is looked at, and the look is '
	'counted), images (true; false leaves out the images of patients), failures (6, at most 50), eigenimages '
	'(4, at most 16), subgroups (an array of at most 8 columns of the source, or objects with column and '
	'breaks; none), class (of a model of findings: the one that the page is about, in addition to a table of '
	'all; the first), version (its number within the model), and the data keys of pneumo_train, by default as '
	'the version was trained. source may be left out by the role that trained the version, which then means '
	'that very table: anybody else must name a table, because reading one can run code of its owner';

CREATE FUNCTION pneumo_report_compare(source regclass, models text[], config jsonb DEFAULT '{}')
	RETURNS text
	LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000000
	AS 'MODULE_PATHNAME', 'pneumo_report_compare';
COMMENT ON FUNCTION pneumo_report_compare(regclass, text[], jsonb) IS
	'one HTML page, as of pneumo_report, about 2 to 8 versions with the same classes on the same rows of one '
	'split of a table, which none of them was trained or selected on: a summary, figures with 95 % intervals '
	'by patient, differences to the first version with p (those of pneumo_compare), ROC curves and '
	'calibration in one plot each, operating points, subgroups, the rows on which the versions are furthest '
	'apart, differences of the configs, training curves, looks. More than two classes: macro figures, and '
	'ROC curves of each class. models has one name for each version; a model may be named several times. '
	'Config: versions (an array of numbers within the models, in the order of models; null and by default: '
	'the deployed ones), split (test, validation, train or all; test), images (true; false leaves out the '
	'images of patients), class (of models of findings: the one that is compared), '
	'disagreements (6 rows, at most 50), subgroups (as of pneumo_report), and the data '
	'keys of pneumo_train, by default as the first version was trained. The page of the test split is a look '
	'for each version, whoever calls. Needs the privilege predict on each model, and SELECT on source';
