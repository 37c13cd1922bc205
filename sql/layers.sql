-- Networks as Keras writes them.
\set VERBOSITY terse
SET client_min_messages = error;
CREATE EXTENSION IF NOT EXISTS pneumo;
CREATE TABLE layers_xrays AS
	SELECT pneumo_phantom(i, l, 64) AS image, l AS label
	FROM (SELECT i, CASE WHEN i % 2 = 1 THEN 'PNEUMONIA' ELSE 'NORMAL' END AS l
		  FROM generate_series(1, 60) i) s;
CREATE FUNCTION plan_layers(layers jsonb, more jsonb DEFAULT '{}')
	RETURNS TABLE (layers integer, parameters bigint, image_size integer[]) LANGUAGE sql AS
	$$ SELECT layers, parameters, image_size
	   FROM pneumo_plan('layers_xrays', jsonb_build_object('layers', layers) || more) $$;

-- a plain list
SELECT * FROM plan_layers('[
	{"class_name": "Conv2D", "config": {"filters": 4, "kernel_size": 3, "padding": "same", "activation": "relu"}},
	{"class_name": "MaxPooling2D"},
	{"class_name": "Flatten"},
	{"class_name": "Dense", "config": {"units": 1, "activation": "sigmoid"}}]', '{"image_size": [16, 16]}');

-- Sequential of Keras 3
SELECT * FROM plan_layers('{"module": "keras", "class_name": "Sequential", "registered_name": "Sequential", "build_config": {"input_shape": [null, 20, 24, 1]}, "compile_config": {}, "config": {
	"name": "sequential", "trainable": true, "dtype": {"module": "keras", "class_name": "DTypePolicy", "config": {"name": "float32"}, "registered_name": null},
	"build_input_shape": [null, 20, 24, 1],
	"layers": [
	{"module": "keras.layers", "class_name": "InputLayer", "config": {"batch_shape": [null, 20, 24, 1], "dtype": "float32", "sparse": false, "name": "input_layer"}, "registered_name": null},
	{"module": "keras.layers", "class_name": "Conv2D", "registered_name": null, "build_config": {"input_shape": [null, 20, 24, 1]}, "config": {
		"name": "conv2d", "trainable": true, "dtype": {"module": "keras", "class_name": "DTypePolicy", "config": {"name": "float32"}, "registered_name": null},
		"filters": 4, "kernel_size": [3, 3], "strides": [1, 1], "padding": "valid", "data_format": "channels_last", "dilation_rate": [1, 1], "groups": 1, "activation": "relu", "use_bias": true,
		"kernel_initializer": {"module": "keras.initializers", "class_name": "GlorotUniform", "config": {"seed": null}, "registered_name": null},
		"bias_initializer": {"module": "keras.initializers", "class_name": "Zeros", "config": {}, "registered_name": null},
		"kernel_regularizer": null, "bias_regularizer": null, "activity_regularizer": null, "kernel_constraint": null, "bias_constraint": null}},
	{"module": "keras.layers", "class_name": "GlobalAveragePooling2D", "config": {"name": "pool", "trainable": true, "dtype": "float32", "data_format": "channels_last", "keepdims": false}},
	{"module": "keras.layers", "class_name": "Dense", "config": {"name": "dense", "units": 1, "activation": "sigmoid", "use_bias": true}}]}}');

-- Sequential of Keras 2: the first layer carries the shape
SELECT * FROM plan_layers('{"class_name": "Sequential", "keras_version": "2.13.1", "backend": "tensorflow", "config": {"name": "s", "layers": [
	{"class_name": "Conv2D", "config": {"name": "c", "trainable": true, "dtype": "float32", "batch_input_shape": [null, 12, 12, 3], "filters": 2, "kernel_size": [3, 3], "activation": "relu"}},
	{"class_name": "Flatten", "config": {"name": "f"}},
	{"class_name": "Dense", "config": {"name": "d", "units": 1, "activation": "sigmoid"}}]}}');

-- functional of Keras 2, residual, layers out of order
SELECT * FROM plan_layers('{"class_name": "Functional", "config": {"name": "m", "layers": [
	{"class_name": "InputLayer", "name": "in", "config": {"batch_input_shape": [null, 16, 16, 1], "dtype": "float32", "sparse": false, "ragged": false, "name": "in"}, "inbound_nodes": []},
	{"class_name": "Add", "name": "add", "config": {"name": "add"}, "inbound_nodes": [[["a", 0, 0, {}], ["b", 0, 0, {}]]]},
	{"class_name": "Conv2D", "name": "a", "config": {"name": "a", "filters": 4, "kernel_size": [3, 3], "padding": "same", "activation": "relu"}, "inbound_nodes": [[["in", 0, 0, {}]]]},
	{"class_name": "Conv2D", "name": "b", "config": {"name": "b", "filters": 4, "kernel_size": [3, 3], "padding": "same", "activation": "linear"}, "inbound_nodes": [[["a", 0, 0, {}]]]},
	{"class_name": "GlobalMaxPooling2D", "name": "g", "config": {"name": "g"}, "inbound_nodes": [[["add", 0, 0, {}]]]},
	{"class_name": "Dense", "name": "d", "config": {"name": "d", "units": 1, "activation": "sigmoid"}, "inbound_nodes": [[["g", 0, 0, {}]]]}],
	"input_layers": [["in", 0, 0]], "output_layers": [["d", 0, 0]]}}');

-- functional of Keras 3
\set functional '{"module": "keras.src.models.functional", "class_name": "Functional", "config": {"name": "m", "trainable": true, "layers": [{"module": "keras.layers", "class_name": "InputLayer", "config": {"batch_shape": [null, 16, 16, 1], "dtype": "float32", "sparse": false, "name": "in"}, "registered_name": null, "name": "in", "inbound_nodes": []}, {"module": "keras.layers", "class_name": "Conv2D", "config": {"name": "a", "filters": 4, "kernel_size": [3, 3], "padding": "same", "activation": "relu"}, "name": "a", "inbound_nodes": [{"args": [{"class_name": "__keras_tensor__", "config": {"shape": [null, 16, 16, 1], "dtype": "float32", "keras_history": ["in", 0, 0]}}], "kwargs": {}}]}, {"module": "keras.layers", "class_name": "Concatenate", "config": {"name": "cat", "axis": -1}, "name": "cat", "inbound_nodes": [{"args": [[{"class_name": "__keras_tensor__", "config": {"shape": [null, 16, 16, 1], "dtype": "float32", "keras_history": ["in", 0, 0]}}, {"class_name": "__keras_tensor__", "config": {"shape": [null, 16, 16, 4], "dtype": "float32", "keras_history": ["a", 0, 0]}}]], "kwargs": {}}]}, {"module": "keras.layers", "class_name": "Flatten", "config": {"name": "f"}, "name": "f", "inbound_nodes": [{"args": [{"class_name": "__keras_tensor__", "config": {"shape": [null, 16, 16, 5], "dtype": "float32", "keras_history": ["cat", 0, 0]}}], "kwargs": {"mask": null}}]}, {"module": "keras.layers", "class_name": "Dense", "config": {"name": "d", "units": 1, "activation": "sigmoid"}, "name": "d", "inbound_nodes": [{"args": [{"class_name": "__keras_tensor__", "config": {"shape": [null, 1280], "dtype": "float32", "keras_history": ["f", 0, 0]}}], "kwargs": {}}]}], "input_layers": ["in", 0, 0], "output_layers": ["d", 0, 0]}}'
SELECT * FROM plan_layers(:'functional');
-- to_json() returns a string: taken as well
SELECT * FROM plan_layers(to_jsonb(:'functional'::text));

-- the input has to agree with explicit keys
SELECT * FROM plan_layers(:'functional', '{"image_size": [32, 32]}');
SELECT * FROM plan_layers(:'functional', '{"color_mode": "rgb"}');

-- keys: unknown, missing, refused, wrong
\set VERBOSITY default
SELECT * FROM plan_layers('[{"class_name": "Conv2D", "config": {"fliters": 4, "kernel_size": 3}}]');
\set VERBOSITY terse
SELECT * FROM plan_layers('[{"class_name": "Conv2d", "config": {"filters": 4, "kernel_size": 3}}]');
SELECT * FROM plan_layers('[{"class_name": "Conv2D", "config": {"filters": 4}}]');
SELECT * FROM plan_layers('[{"class_name": "Conv2D", "filters": 4}]');
SELECT * FROM plan_layers('[{"class_name": "Conv2D", "config": {"filters": 0, "kernel_size": 3}}]');
SELECT * FROM plan_layers('[{"class_name": "Conv2D", "config": {"filters": 4, "kernel_size": [3, 3, 3]}}]');
SELECT * FROM plan_layers('[{"class_name": "Conv2D", "config": {"filters": 4, "kernel_size": 3, "padding": "full"}}]');
SELECT * FROM plan_layers('[{"class_name": "Conv2D", "config": {"filters": 4, "kernel_size": 3, "dilation_rate": 2}}]');
SELECT * FROM plan_layers('[{"class_name": "Conv2D", "config": {"filters": 4, "kernel_size": 3, "activity_regularizer": {"class_name": "L2", "config": {"l2": 0.01}}}}]');
SELECT * FROM plan_layers('[{"class_name": "Conv2D", "config": {"filters": 4, "kernel_size": 3, "kernel_initializer": "magic"}}]');
SELECT * FROM plan_layers('[{"class_name": "Conv2D", "config": {"filters": 4, "kernel_size": 3, "activation": "reluu"}}]');
SELECT * FROM plan_layers('[{"class_name": "Conv2D", "config": {"filters": 4, "kernel_size": 3, "dtype": "float16"}}]');
SELECT * FROM plan_layers('[{"class_name": "Dropout", "config": {"rate": 1.5}}]');

-- shapes and ends
SELECT * FROM plan_layers('[]');
SELECT * FROM plan_layers('[1]');
SELECT * FROM plan_layers('{"class_name": "Sequential"}');
SELECT * FROM plan_layers('[{"class_name": "Dense", "config": {"units": 1, "activation": "sigmoid"}}]');
SELECT * FROM plan_layers('[{"class_name": "Flatten"}, {"class_name": "Dense", "config": {"units": 1}}]', '{"image_size": [8, 8]}');
SELECT * FROM plan_layers('[{"class_name": "Flatten"}, {"class_name": "Dense", "config": {"units": 3, "activation": "softmax"}}]', '{"image_size": [8, 8]}');
SELECT * FROM plan_layers('[{"class_name": "Flatten", "config": {"name": "x"}}, {"class_name": "Dense", "config": {"name": "x", "units": 1, "activation": "sigmoid"}}]', '{"image_size": [8, 8]}');
SELECT * FROM plan_layers('[{"class_name": "Sequential", "config": {"layers": []}}]');
SELECT * FROM plan_layers('{"class_name": "Functional", "config": {"layers": [{"class_name": "InputLayer", "name": "in", "config": {"batch_shape": [null, null, null, 1]}, "inbound_nodes": []}]}}');

-- graphs: two outputs, a shared layer, a cycle, a missing input
SELECT * FROM plan_layers(jsonb_set(:'functional', '{config,output_layers}', '[["f", 0, 0], ["d", 0, 0]]'));
SELECT * FROM plan_layers(jsonb_set(:'functional', '{config,output_layers}', '["nowhere", 0, 0]'));
SELECT * FROM plan_layers(jsonb_set(:'functional', '{config,layers,1,inbound_nodes,1}', '{"args": [], "kwargs": {}}', true));
SELECT * FROM plan_layers(jsonb_set(:'functional', '{config,layers,1,inbound_nodes,0,args,0,config,keras_history}', '["a", 0, 0]'));
SELECT * FROM plan_layers(jsonb_set(:'functional', '{config,layers,1,inbound_nodes,0,args,0,config,keras_history}', '["nowhere", 0, 0]'));
SELECT * FROM plan_layers(jsonb_set(:'functional', '{config,layers,1,inbound_nodes,0,args,0,config,keras_history}', '["in", 1, 0]'));
SELECT * FROM plan_layers(jsonb_set(:'functional', '{config,layers,1,inbound_nodes,0,kwargs}', '{"training": true}'));

-- a key that Keras writes by itself says nothing; another value is refused, an unknown key too
SELECT * FROM plan_layers('[{"class_name": "BatchNormalization", "config": {"axis": [3], "renorm": false, "renorm_clipping": null, "renorm_momentum": 0.99}}, {"class_name": "Flatten"}, {"class_name": "Dense", "config": {"units": 1, "activation": "sigmoid"}}]', '{"image_size": [8, 8]}');
SELECT * FROM plan_layers('[{"class_name": "BatchNormalization", "config": {"renorm_momentum": 0.5}}]');
SELECT * FROM plan_layers('[{"class_name": "Flatten", "config": {"strange": 3}}]');
SET client_min_messages = notice;
SELECT * FROM plan_layers('[{"class_name": "Flatten", "config": {"strange": null}}, {"class_name": "Dense", "config": {"units": 1, "activation": "sigmoid"}}]', '{"image_size": [8, 8]}');

-- a network that divides its input itself sees 0 to 255
\set rescaling '[{"class_name": "Rescaling", "config": {"scale": 0.00392156862745098}}, {"class_name": "Flatten"}, {"class_name": "Dense", "config": {"units": 1, "activation": "sigmoid"}}]'
SELECT * FROM plan_layers(:'rescaling', '{"image_size": [8, 8]}');
SELECT * FROM plan_layers(:'rescaling', '{"image_size": [8, 8], "rescale": 1}');
SELECT * FROM plan_layers(:'rescaling', '{"image_size": [8, 8], "rescale": 0.00392156862745098}');
SELECT * FROM plan_layers('[{"class_name": "Rescaling", "config": {"scale": 2, "offset": -1}}, {"class_name": "Flatten"}, {"class_name": "Dense", "config": {"units": 1, "activation": "sigmoid"}}]', '{"image_size": [8, 8]}');
SET client_min_messages = error;
SELECT pneumo_train('layers_xrays', jsonb_build_object('layers', :'rescaling'::jsonb, 'name', 'layers 255',
	'image_size', '[4, 4]'::jsonb, 'epochs', 1, 'verbose', 0)) > 0 AS trained;
SELECT max(v) > 2 AS sees_bytes FROM layers_xrays, unnest(pneumo_preprocess(image, 'layers 255')) v;
SET client_min_messages = warning;

-- everything that is wrong at once
\set VERBOSITY default
SELECT * FROM plan_layers('[
	{"class_name": "Conv2D", "config": {"filters": 4, "kernel_size": 3, "data_format": "channels_first", "kernel_constraint": "min_max_norm"}},
	{"class_name": "RandomFlip", "config": {}},
	{"class_name": "LSTM", "config": {"units": 3}},
	{"class_name": "Dense", "config": {"units": 3, "activation": "softsign"}},
	{"class_name": "Dense", "module": "my.layers", "config": {"units": 1, "activation": "sigmoid"}}]');
\set VERBOSITY terse

-- layers made of others; names in networks inside; layers that are not trainable
SELECT pneumo_train('layers_xrays', '{"name": "layers parts", "image_size": [16, 16], "epochs": 1, "verbose": 0, "layers": [
	{"class_name": "Sequential", "config": {"name": "stem", "trainable": false, "layers": [
		{"class_name": "SeparableConv2D", "config": {"name": "sep", "filters": 4, "kernel_size": 3, "dilation_rate": 2}},
		{"class_name": "BatchNormalization", "config": {"name": "bn"}}]}},
	{"class_name": "Conv2D", "config": {"name": "gelu", "filters": 4, "kernel_size": 3, "activation": "gelu", "groups": 2}},
	{"class_name": "Normalization", "config": {"name": "norm", "mean": 1, "variance": 4}},
	{"class_name": "ZeroPadding2D", "config": {"name": "pad", "padding": [[0, 1], [2, 3]]}},
	{"class_name": "Identity", "config": {}},
	{"class_name": "Dense", "config": {"name": "pixels", "units": 3, "activation": "relu6"}},
	{"class_name": "GlobalAveragePooling2D", "config": {"name": "pool"}},
	{"class_name": "Dense", "config": {"name": "head", "units": 1, "activation": "sigmoid"}}]}') > 0 AS trained;
SELECT layer, class_name, output_shape, parameters, trainable, config FROM pneumo_summary('layers parts');
SELECT * FROM plan_layers('[{"class_name": "Flatten"}, {"class_name": "Dense", "config": {"units": 1, "activation": "sigmoid", "trainable": false}}]', '{"image_size": [8, 8]}');

-- a residual network trains
SET client_min_messages = error;
SELECT pneumo_train('layers_xrays', jsonb_build_object('layers', :'functional'::jsonb) ||
	'{"name": "layers residual", "epochs": 2, "verbose": 0, "early_stopping": null}') > 0 AS trained;
SELECT parameters, image_size FROM pneumo.versions WHERE model = 'layers residual';

-- regularisers, constraints and PReLU, as Keras writes them and as people do
SELECT * FROM plan_layers('[
	{"class_name": "Conv2D", "config": {"filters": 4, "kernel_size": 3, "kernel_regularizer": "l2", "bias_regularizer": {"module": "keras.regularizers", "class_name": "L1L2", "config": {"l1": 0.1, "l2": 0.2}, "registered_name": null}}},
	{"class_name": "PReLU", "config": {"shared_axes": [1, 2], "alpha_initializer": {"class_name": "Zeros", "config": {}}, "alpha_regularizer": null, "alpha_constraint": null}},
	{"class_name": "Flatten"},
	{"class_name": "Dense", "config": {"units": 1, "activation": "sigmoid", "kernel_constraint": {"class_name": "MaxNorm", "config": {"max_value": 3, "axis": [0]}}, "bias_constraint": "non_neg"}}]');
SELECT * FROM plan_layers('[
	{"class_name": "Conv2D", "config": {"filters": 4, "kernel_size": 3, "kernel_regularizer": {"class_name": "OrthogonalRegularizer", "config": {"factor": 0.01}}, "bias_regularizer": {"class_name": "L2", "config": {"l3": 1}}, "kernel_constraint": {"class_name": "MinMaxNorm", "config": {}}}},
	{"class_name": "PReLU", "config": {"shared_axes": [4]}},
	{"class_name": "Flatten"},
	{"class_name": "Dense", "config": {"units": 1, "activation": "sigmoid", "kernel_regularizer": {"class_name": "L2", "config": {"l2": -1}}, "kernel_constraint": {"class_name": "MaxNorm", "config": {"max_value": 3, "axis": 7}}}}]');

DROP FUNCTION plan_layers;
DROP TABLE layers_xrays;
SELECT count(pneumo_drop_model(m)::text) AS dropped FROM unnest(ARRAY['layers residual', 'layers 255', 'layers parts']) m;
SELECT count(pneumo_forget(run)::text) AS forgotten FROM pneumo.runs WHERE model LIKE 'layers %';
