//! Proxy-NCA.

use crate::losses::inputs::WITH_PROXIES;
use crate::losses::prelude::*;

options! {
    /// Proxy-NCA: an embedding near the learned proxy of its class and far from all others, without
    /// pairs of embeddings.
    ///
    /// −ln softmax(−k d²) at the proxy of the label, d the distances of the normalized embedding to the
    /// normalized proxies, k the `scale`: the cross-entropy of 2k s over the cosines s, as
    /// d² = 2 − 2s. The derivative by s is 2k (softmax − 1 at the own proxy).
    ///
    /// Inputs: `predictions` [rows, columns], an embedding in each row; `proxies` [classes, columns],
    /// which get a gradient too; `targets` `[rows]`, a class for each embedding. One value per
    /// embedding. In the paper the own proxy is left out of the denominator.
    ///
    /// pytorch-metric-learning `ProxyNCALoss`, whose denominator has the own proxy likewise.
    /// Sources: Y. Movshovitz-Attias et al., No fuss distance metric learning using proxies, 2017; E. W.
    /// Teh, T. DeVries and G. W. Taylor, ProxyNCA++, 2020 (the own proxy).
    ///
    /// ```
    /// use gradus::{Device, Inputs, losses::{Loss, ProxyNca}};
    /// use ndarray::array;
    ///
    /// let (embeddings, proxies) = (array![[3.0, 0.0]], array![[1.0, 0.0], [0.0, 2.0]]);
    /// let labels = array![0_i64];
    /// let inputs = Inputs::new(&embeddings, &labels).input("proxies", &proxies);
    /// let step = ProxyNca::new().on(&Device::reference())?.evaluate(&inputs)?;
    /// assert!((step.value() - (-2.0_f64).exp().ln_1p()).abs() < 1e-15); // cosines 1 and 0
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct ProxyNca of "proxy_nca" {
        /// Factor k of the squared distances.
        scale: f64 = 1.0, "> 0" if |scale| scale > 0.0 && scale.is_finite();
    }
}

pub(super) static ENTRY: Entry<dyn LossDefinition> = Entry {
    name: "proxy_nca",
    summary: "embeddings near a learned proxy of their class",
    formula: "−ln softmax(−k d²)_y, d to the proxies",
    options: ProxyNca::OPTIONS,
    torch: "",
    keras: "",
    optax: "",
    source: "Y. Movshovitz-Attias et al., No fuss distance metric learning using proxies, 2017; E. W. Teh et al., ProxyNCA++, 2020",
    variants: &[r#"{"scale": 8.0}"#],
    shader: crate::runtime::wgsl::shader!("losses/proxy_nca.wgsl"),
    make: make::<ProxyNca>,
};

impl LossDefinition for ProxyNca {
    catalogued!(entry, options, check);

    fn spec(&self) -> Spec<'_> {
        Spec::proxies(self, ENTRY.name, WITH_PROXIES)
    }

    fn constants(&self) -> Vec<(&'static str, f64)> {
        vec![("SCALE", self.scale)]
    }
}

impl Proxies for ProxyNca {
    fn by_proxy(&self) -> bool {
        false
    }

    fn exponent(&self, score: f64, _: bool) -> [f64; 2] {
        [2.0 * self.scale * score, 2.0 * self.scale]
    }

    fn finish(&self, [own, others]: [f64; 2], _: f64) -> (f64, [f64; 2]) {
        let lag = others - own;
        (lag.softplus(), [-lag.sigmoid(), lag.sigmoid()])
    }
}
