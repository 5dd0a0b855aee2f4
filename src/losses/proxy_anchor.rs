//! Proxy-Anchor.

use crate::losses::inputs::WITH_PROXIES;
use crate::losses::prelude::*;

options! {
    /// Proxy-Anchor: each learned proxy of a class pulls the embeddings of its class, the farthest most,
    /// and pushes the others, the nearest most.
    ///
    /// With cosines s, per proxy w ln(1 + Σ e^(−α(s − δ))) over its embeddings plus
    /// ln(1 + Σ e^(α(s + δ))) over the others; w is the number of proxies over that of proxies with an
    /// embedding in the batch. `mean` divides by the number of proxies: the first sums are averaged over
    /// the proxies with embeddings and the second over all, as in the paper. Derivative by s of an own
    /// embedding −wα e^(−α(s − δ))/(1 + Σ), of another α e^(α(s + δ))/(1 + Σ).
    ///
    /// Inputs: `predictions` [rows, columns], an embedding in each row; `proxies` [classes, columns],
    /// which get a gradient too; `targets` `[rows]`, a class for each embedding. Both are normalized.
    /// One value per proxy.
    ///
    /// pytorch-metric-learning `ProxyAnchorLoss`.
    /// Source: S. Kim, D. Kim, M. Cho and S. Kwak, Proxy anchor loss for deep metric learning, 2020.
    ///
    /// ```
    /// use gradus::{Device, Inputs, losses::{Loss, ProxyAnchor}};
    /// use ndarray::array;
    ///
    /// let (embeddings, proxies) = (array![[3.0, 0.0]], array![[1.0, 0.0], [0.0, 2.0]]);
    /// let labels = array![0_i64];
    /// let inputs = Inputs::new(&embeddings, &labels).input("proxies", &proxies);
    /// let criterion = ProxyAnchor::new().alpha(1.0).margin(0.0).on(&Device::reference())?;
    /// let step = criterion.evaluate(&inputs)?;
    /// // ln(1 + e^−1) of the proxy with an embedding, and half of ln 2 of the other.
    /// assert!((step.value() - (-1.0_f64).exp().ln_1p() - 0.5 * 2.0_f64.ln()).abs() < 1e-15);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct ProxyAnchor of "proxy_anchor" {
        /// Factor α of the cosines.
        alpha: f64 = 32.0, "> 0" if |alpha| alpha > 0.0 && alpha.is_finite();
        /// Margin δ of the cosines.
        margin: f64 = 0.1, "finite" if |margin| margin.is_finite();
    }
}

pub(super) static ENTRY: Entry<dyn LossDefinition> = Entry {
    name: "proxy_anchor",
    summary: "learned proxies that pull their embeddings and push the others, the hardest most",
    formula: "w ln(1 + Σ⁺ e^−α(s − δ)) + ln(1 + Σ⁻ e^α(s + δ))",
    options: ProxyAnchor::OPTIONS,
    torch: "",
    keras: "",
    optax: "",
    source: "S. Kim et al., Proxy anchor loss for deep metric learning, 2020",
    variants: &[r#"{"alpha": 4.0, "margin": 0.25}"#],
    shader: crate::runtime::wgsl::shader!("losses/proxy_anchor.wgsl"),
    make: make::<ProxyAnchor>,
};

impl LossDefinition for ProxyAnchor {
    catalogued!(entry, options, check);

    fn spec(&self) -> Spec<'_> {
        Spec::proxies(self, ENTRY.name, WITH_PROXIES)
    }

    fn constants(&self) -> Vec<(&'static str, f64)> {
        vec![("ALPHA", self.alpha), ("MARGIN", self.margin)]
    }
}

impl Proxies for ProxyAnchor {
    fn by_proxy(&self) -> bool {
        true
    }

    fn exponent(&self, score: f64, is_positive: bool) -> [f64; 2] {
        let (factor, margin) =
            if is_positive { (-self.alpha, -self.margin) } else { (self.alpha, self.margin) };
        [factor * (score + margin), factor]
    }

    fn finish(&self, [own, others]: [f64; 2], share: f64) -> (f64, [f64; 2]) {
        let value = share * own.softplus() + others.softplus();
        (value, [share * own.sigmoid(), others.sigmoid()])
    }
}
