/*-------------------------------------------------------------------------
 *
 * conv3_impl.h
 *	  The entries of NnKernels for the 3 x 3 convolution: which form runs.
 *
 *-------------------------------------------------------------------------
 */
NN_INLINE int
conv3_direct(const NnConv3 *c)
{
	return c->ic <= NN_CONV3_DIRECT_IC;
}

static size_t
conv3_packed_floats(const NnConv3 *c, int transposed)
{
	if (conv3_direct(c))
		return transposed ? 0 : 9 * (size_t) c->ic * wg_up((size_t) c->oc, DC_BW);
	if (transposed)
		return 36 * (size_t) c->oc * wg_up((size_t) c->ic, VW);
	return 36 * (size_t) c->ic * wg_up((size_t) c->oc, VW);
}

static void
conv3_pack(float *packed, const float *weight, const NnConv3 *c, int transposed, int k0, int k1)
{
	if (!conv3_direct(c))
		wg_pack(packed, weight, c->ic, c->oc, transposed, k0, k1);
	else if (!transposed)
		dc_pack(packed, weight, c, k0, k1);
}

static size_t
conv3_scratch_bytes(const NnConv3 *c)
{
	size_t a, b;

	if (conv3_direct(c))
		return sizeof(float) * (wg_up(4 * dc_row_floats(c), WG_LINE) + dc_table_floats(c));
	a = wg_scratch(c->h, c->w, c->ic);
	b = wg_scratch(c->h, c->w, c->oc);
	/* the weight gradient copies squares of both maps */
	return sizeof(float) * ((a > b ? a : b) + wg_copy_floats(c->ic) + wg_copy_floats(c->oc));
}

static WgSource
conv3_source(const NnConv3 *c, const float *map, int channels)
{
	WgSource s;

	memset(&s, 0, sizeof(s));
	s.kind = WG_PLAIN;
	s.map = map;
	s.h = c->h;
	s.w = c->w;
	s.c = channels;
	return s;
}

static WgSource
conv3_gradient_source(const NnConv3 *c, const float *ddst, const uint16_t *mask, const float *dst)
{
	WgSource s = conv3_source(c, ddst, c->oc);

	if (c->pool)
	{
		s.kind = WG_POOLED;
		s.mask = mask;
	}
	else if (c->relu)
	{
		s.kind = WG_GATED;
		s.gate = dst;
	}
	return s;
}

static void
conv3_forward(float *dst, uint16_t *mask, const float *src, const float *packed, const float *bias,
			  const NnConv3 *c, void *scratch)
{
	WgSource s = conv3_source(c, src, c->ic);
	WgTarget o = {dst, mask, bias, c->h, c->w, c->oc, c->relu, c->pool};

	if (conv3_direct(c))
		dc_forward(dst, mask, src, packed, bias, c, scratch);
	else
		wg_run(&o, &s, packed, scratch);
}

static void
conv3_dsrc(float *dsrc, const float *ddst, const uint16_t *mask, const float *dst,
		   const float *packed_transposed, const NnConv3 *c, void *scratch)
{
	WgSource s = conv3_gradient_source(c, ddst, mask, dst);
	WgTarget o = {dsrc, NULL, NULL, c->h, c->w, c->ic, 0, 0};

	if (!conv3_direct(c))
		wg_run(&o, &s, packed_transposed, scratch);
}

static size_t
conv3_acc_floats(const NnConv3 *c)
{
	size_t wide = wg_up((size_t) c->oc, VW);

	return wg_up((conv3_direct(c) ? 9 : 36) * (size_t) c->ic * wide + wide, WG_LINE);
}

static void
conv3_dweight(float *acc, const float *src, const float *ddst, const uint16_t *mask, const float *dst,
			  const NnConv3 *c, void *scratch)
{
	WgSource s = conv3_source(c, src, c->ic);
	WgSource g = conv3_gradient_source(c, ddst, mask, dst);

	if (conv3_direct(c))
	{
		dc_dweight(acc, src, ddst, mask, dst, c, scratch);
		return;
	}
	s.copy = scratch;
	g.copy = s.copy + wg_copy_floats(c->ic);
	wg_run_dweight(acc, &s, &g, g.copy + wg_copy_floats(c->oc));
}

static void
conv3_dweight_finish(float *dweight, float *dbias, const float *acc, int n_acc, size_t acc_stride,
					 const NnConv3 *c, int ic0, int ic1)
{
	if (conv3_direct(c))
		dc_finish(dweight, dbias, acc, n_acc, acc_stride, c, ic0, ic1);
	else
		wg_finish(dweight, dbias, acc, n_acc, acc_stride, c->ic, c->oc, ic0, ic1);
}
