// Sparsemax loss: the Fenchel-Young loss of the projection onto the simplex, p = [x - tau]+;
// derivative p - [y].
const SPARSEMAX_ALPHA: f32 = 2.0;
