/*-------------------------------------------------------------------------
 *
 * pool_impl.h
 *	  The 2 x 2 maximum with its mask, shared by all kernels that pool.
 *
 *-------------------------------------------------------------------------
 */

/*
 * Returns the maximum of y[0..3] (reading order) plus bias, and relu if asked.
 * group, if not NULL, gets the mask of the channels from c on.
 */
NN_INLINE vf
pool4(uint16_t *group, int c, const vf *y, vf bias, const int relu)
{
	vf m01 = v_max(y[1], y[0]);
	vf m23 = v_max(y[3], y[2]);
	vf m = v_add(v_max(m23, m01), bias);

	if (group != NULL)
	{
		unsigned all = (1u << VW) - 1;
		unsigned right_top = v_gt_bits(y[1], y[0]);
		unsigned right_bottom = v_gt_bits(y[3], y[2]);
		unsigned bottom = v_gt_bits(m23, m01);
		unsigned on = relu ? v_gt_bits(m, v_zero()) : all;
		unsigned top = on & ~bottom;

		bottom &= on;
		v_mask_put(group, c, 0, top & ~right_top);
		v_mask_put(group, c, 1, top & right_top);
		v_mask_put(group, c, 2, bottom & ~right_bottom);
		v_mask_put(group, c, 3, bottom & right_bottom);
	}
	return relu ? v_max(v_zero(), m) : m; /* a NaN stays one */
}
