// Softmax is not elementwise, so this file defines no functions: the row-wise kernels compute it.
//     y_k = e^(x_k - max x) / sum_j e^(x_j - max x)
//     dL/dx_k = y_k (g_k - sum_j g_j y_j),  g = dL/dy
