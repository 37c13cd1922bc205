/*-------------------------------------------------------------------------
 *
 * config_data.c
 *	  Config keys that say which rows are read and how they are split.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>

#include "pg/config/config_internal.h"

const ConfigKey pneumo_config_data_keys[] = {
	CONFIG_TEXT(image_column),
	CONFIG_TEXT(label_column),
	CONFIG_TEXT(positive_class),
	CONFIG_TEXT(group_column),
	CONFIG_TEXT(split_column),
	CONFIG_TEXT(key_column),
	CONFIG_TEXT(sample_weight_column),
	CONFIG_NUMBER("validation_split", KEY_DOUBLE, validation_split, 0, CONFIG_MAX_SPLITS),
	CONFIG_NUMBER("test_split", KEY_DOUBLE, test_split, 0, CONFIG_MAX_SPLITS),
	CONFIG_NUMBER("split_seed", KEY_INT, split_seed, INT_MIN, INT_MAX),
	CONFIG_NUMBER("max_bad_images", KEY_DOUBLE, max_bad_images, 0, 1),
	CONFIG_END,
};
