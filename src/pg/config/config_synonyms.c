/*-------------------------------------------------------------------------
 *
 * config_synonyms.c
 *	  What other software calls the config's keys, for hints.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "pg/config/config_internal.h"

#define USE(example) "Use " example "."
#define SEVERAL_FINDINGS \
	"Images with several findings have them in a column of type text[], or \"label_columns\" lists a boolean column for each."
#define AT_TOP(example) "The keys stand at the top of the config, as in " example "."

/* Names in lower case without underscores and hyphens. */
static const struct
{
	const char *name;
	const char *hint;
} synonyms[] = {
	/* fit */
	{"lr", USE("\"learning_rate\": 0.001")},
	{"eta", USE("\"learning_rate\": 0.001")},
	{"stepsize", USE("\"learning_rate\": 0.001")},
	{"learningrateinit", USE("\"learning_rate\": 0.001")},
	{"numepochs", USE("\"epochs\": 20")},
	{"nepochs", USE("\"epochs\": 20")},
	{"nbepoch", USE("\"epochs\": 20")},
	{"maxepochs", USE("\"epochs\": 20")},
	{"maxiter", USE("\"epochs\": 20")},
	{"iterations", USE("\"epochs\": 20")},
	{"bs", USE("\"batch_size\": 32")},
	{"batch", USE("\"batch_size\": 32")},
	{"minibatchsize", USE("\"batch_size\": 32")},
	{"randomstate", USE("\"seed\": 0")},
	{"randomseed", USE("\"seed\": 0")},
	{"manualseed", USE("\"seed\": 0")},
	{"classweights", USE("\"class_weight\": \"balanced\" or an object by class")},
	{"posweight", USE("\"class_weight\", an object by class")},
	{"numworkers", USE("\"threads\": 4")},
	{"workers", USE("\"threads\": 4")},
	{"njobs", USE("\"threads\": 4")},
	{"cores", USE("\"threads\": 4")},
	{"device", "Training runs on the CPU; \"threads\" says on how many threads."},
	{"gpu", "Training runs on the CPU; \"threads\" says on how many threads."},
	{"pretrained", USE("\"initial_model\" with the name of a model")},
	{"weights", USE("\"initial_model\" with the name of a model")},
	{"checkpoint",
	 USE("\"initial_model\" with the name of a model, or pneumo_resume(run) to continue a run")},
	/* compile */
	{"opt", USE("\"optimizer\": \"adam\"")},
	{"criterion", USE("\"loss\"")},
	{"lossfunction", USE("\"loss\"")},
	{"lossfn", USE("\"loss\"")},
	{"betas", USE("\"beta_1\" and \"beta_2\"")},
	{"eps", USE("\"epsilon\"")},
	{"alpha", USE("\"rho\" for the decay of rmsprop, \"learning_rate\" for the step")},
	{"wd", USE("\"weight_decay\"")},
	{"l2", USE("\"weight_decay\"")},
	{"gradclip", USE("\"clipnorm\", \"global_clipnorm\" or \"clipvalue\"")},
	{"gradientclip", USE("\"clipnorm\", \"global_clipnorm\" or \"clipvalue\"")},
	{"maxgradnorm", USE("\"global_clipnorm\"")},
	/* callbacks */
	{"patience", USE("\"early_stopping\": {\"patience\": 5}")},
	{"monitor", USE("\"early_stopping\": {\"monitor\": \"val_auc\"}")},
	{"mindelta", USE("\"early_stopping\": {\"min_delta\": 0.001}")},
	{"restorebestweights", USE("\"early_stopping\": {\"restore_best_weights\": true}")},
	{"startfromepoch", USE("\"early_stopping\": {\"start_from_epoch\": 5}")},
	{"earlystop", USE("\"early_stopping\": {\"patience\": 5}")},
	{"earlystopping", USE("\"early_stopping\": {\"patience\": 5}")},
	{"factor", USE("\"reduce_lr_on_plateau\": {\"factor\": 0.1}")},
	{"minlr", USE("\"reduce_lr_on_plateau\": {\"min_lr\": 0.00001}")},
	{"cooldown", USE("\"reduce_lr_on_plateau\": {\"cooldown\": 2}")},
	{"reducelr", USE("\"reduce_lr_on_plateau\": {\"factor\": 0.1}")},
	{"reducelronplateau", USE("\"reduce_lr_on_plateau\": {\"factor\": 0.1}")},
	{"scheduler", USE("\"reduce_lr_on_plateau\", or CosineDecay as \"learning_rate\"")},
	{"lrscheduler", USE("\"reduce_lr_on_plateau\", or CosineDecay as \"learning_rate\"")},
	{"lrschedule", USE("\"reduce_lr_on_plateau\", or CosineDecay as \"learning_rate\"")},
	/* groups of keys in the manual */
	{"callbacks", AT_TOP("\"early_stopping\": {\"patience\": 5}")},
	{"augmentation", AT_TOP("\"rotation_range\": 10, \"zoom_range\": 0.1")},
	{"augmentations", AT_TOP("\"rotation_range\": 10, \"zoom_range\": 0.1")},
	{"augment", AT_TOP("\"rotation_range\": 10, \"zoom_range\": 0.1")},
	{"dataaugmentation", AT_TOP("\"rotation_range\": 10, \"zoom_range\": 0.1")},
	{"transforms", AT_TOP("\"rotation_range\": 10, \"zoom_range\": 0.1")},
	{"data", AT_TOP("\"group_column\": \"patient\"")},
	{"fit", AT_TOP("\"epochs\": 20")},
	{"compile", AT_TOP("\"optimizer\": \"adam\"")},
	{"result", AT_TOP("\"calibration\": \"platt\"")},
	/* augmentation */
	{"rotation", USE("\"rotation_range\": 10")},
	{"zoom", USE("\"zoom_range\": 0.1")},
	{"shear", USE("\"shear_range\": 5")},
	{"brightness", USE("\"brightness_range\": [0.8, 1.2]")},
	{"flip", USE("\"horizontal_flip\": true or \"vertical_flip\": true")},
	{"hflip", USE("\"horizontal_flip\": true")},
	{"vflip", USE("\"vertical_flip\": true")},
	/* model */
	{"inputshape", USE("\"image_size\": [256, 256] and \"color_mode\"")},
	{"imgsize", USE("\"image_size\": [256, 256]")},
	{"imsize", USE("\"image_size\": [256, 256]")},
	{"imgsz", USE("\"image_size\": [256, 256]")},
	{"targetsize", USE("\"image_size\": [256, 256]")},
	{"inputsize", USE("\"image_size\": [256, 256]")},
	{"resolution", USE("\"image_size\": [256, 256]")},
	{"size", USE("\"image_size\": [256, 256]")},
	{"resize", USE("\"image_size\": [256, 256]")},
	{"height", USE("\"image_size\": [height, width]")},
	{"width", USE("\"image_size\": [height, width]")},
	{"channels", USE("\"color_mode\": \"grayscale\" or \"rgb\"")},
	{"colormode", USE("\"color_mode\": \"grayscale\" or \"rgb\"")},
	{"normalize", USE("\"rescale\": 0.00392, the factor of the pixels")},
	{"preset", USE("\"model\": \"deep\" or \"baseline\"")},
	{"architecture", USE("\"model\": \"deep\" or \"baseline\", or \"layers\"")},
	{"arch", USE("\"model\": \"deep\" or \"baseline\", or \"layers\"")},
	{"network", USE("\"model\": \"deep\" or \"baseline\", or \"layers\"")},
	{"backbone", USE("\"model\": \"deep\" or \"baseline\", or \"layers\"")},
	{"modelname", USE("\"name\": \"default\"")},
	{"dropout", "Dropout is a layer of \"layers\"."},
	{"activation", "The activation is a key of a layer of \"layers\"."},
	{"filters", "The filters are a key of a layer of \"layers\"."},
	{"numclasses", "The classes are those of the labels: there is no key for their number."},
	/* data */
	{"image", USE("\"image_column\" with the name of the column")},
	{"img", USE("\"image_column\" with the name of the column")},
	{"images", USE("\"image_column\" with the name of the column")},
	{"imagecol", USE("\"image_column\" with the name of the column")},
	{"x", USE("\"image_column\" with the name of the column")},
	{"label", USE("\"label_column\" with the name of the column")},
	{"labels", USE("\"label_column\" with the name of the column")},
	{"multilabel", SEVERAL_FINDINGS},
	{"findings", SEVERAL_FINDINGS},
	{"labelcols", SEVERAL_FINDINGS},
	{"targets", SEVERAL_FINDINGS},
	{"findingcolumns", SEVERAL_FINDINGS},
	{"labelcol", USE("\"label_column\" with the name of the column")},
	{"target", USE("\"label_column\" with the name of the column")},
	{"class", USE("\"label_column\" with the name of the column")},
	{"classcolumn", USE("\"label_column\" with the name of the column")},
	{"y", USE("\"label_column\" with the name of the column")},
	{"positive", USE("\"positive_class\" with the name of the class")},
	{"poslabel", USE("\"positive_class\" with the name of the class")},
	{"patient", USE("\"group_column\" with the name of the column")},
	{"patients", USE("\"group_column\" with the name of the column")},
	{"patientid", USE("\"group_column\" with the name of the column")},
	{"patientcolumn", USE("\"group_column\" with the name of the column")},
	{"group", USE("\"group_column\" with the name of the column")},
	{"groups", USE("\"group_column\" with the name of the column")},
	{"subjectcolumn", USE("\"group_column\" with the name of the column")},
	{"id", USE("\"key_column\" with the name of the column")},
	{"idcolumn", USE("\"key_column\" with the name of the column")},
	{"split", USE("\"split_column\" with the name of the column")},
	{"subset", USE("\"split_column\" with the name of the column")},
	{"sampleweight", USE("\"sample_weight_column\" with the name of the column")},
	{"weightcolumn", USE("\"sample_weight_column\" with the name of the column")},
	{"valsplit", USE("\"validation_split\": 0.15")},
	{"valsize", USE("\"validation_split\": 0.15")},
	{"valfraction", USE("\"validation_split\": 0.15")},
	{"validationdata", USE("\"validation_split\": 0.15, or \"split_column\"")},
	{"testsize", USE("\"test_split\": 0.15")},
	{"testfraction", USE("\"test_split\": 0.15")},
	{"trainsplit", "What \"validation_split\" and \"test_split\" leave is for training."},
	{"trainsize", "What \"validation_split\" and \"test_split\" leave is for training."},
	/* result */
	{"threshold", USE("\"operating_point\": {\"threshold\": 0.5}")},
	{"sensitivity", USE("\"operating_point\": {\"sensitivity\": 0.95}")},
	{"calibrate", USE("\"calibration\": \"platt\" or \"temperature\"")},
	{"dtype", USE("\"precision\": \"float32\" or \"int16\"")},
	{"description", USE("\"comment\"")},
	{"wait", "It is an argument of pneumo_train, not a key: wait => false."},
};

const char *
pneumo_config_synonym(const char *name)
{
	char plain[32];
	size_t n = 0;
	size_t i;

	for (; *name != '\0'; name++)
	{
		if (*name == '_' || *name == '-' || *name == ' ')
			continue;
		if (n + 1 >= sizeof(plain))
			return NULL;
		plain[n++] = (char) pg_tolower((unsigned char) *name);
	}
	plain[n] = '\0';
	for (i = 0; i < lengthof(synonyms); i++)
		if (strcmp(plain, synonyms[i].name) == 0)
			return synonyms[i].hint;
	return NULL;
}
