// Entmax loss: the Fenchel-Young loss of p = [(ALPHA - 1) x - tau]+ ^ (1/(ALPHA - 1)); derivative p
// - [y].
override ENTMAX_ALPHA: f32 = 1.5;
