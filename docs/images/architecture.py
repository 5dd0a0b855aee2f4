"""Draws docs/images/architecture.svg: the layers of the source tree, each using only what is below it.

    python3 docs/images/architecture.py > docs/images/architecture.svg
"""

WIDTH, LEFT, GAP, ROW, INDENT = 860, 24, 12, 74, 150

# From the top down: the name of a layer, then its folders with what each is for.
LAYERS = [
    ("command", [("bin/gradus", "train, check, bench …")]),
    ("oracles", [("testing", "comparisons with the reference, tolerances, benchmark cases")]),
    ("training", [("nn", "graph, ops, layers, fit"), ("recommend", "WARP, BPR, metrics"), ("metrics", "NDCG, R², confusion")]),
    ("losses", [("criterion", "a loss on a device"), ("losses", "one file each")]),
    ("templates", [("templates", "the loops: pointwise, row-wise, list-wise …")]),
    ("devices", [("runtime", "wgpu, tensors"), ("cpu", "SIMD, threads"), ("data", "files to arrays"), ("catalogue.rs", "the lists")]),
    ("shaders", [("lib", "numbers"), ("templates", "loops"), ("losses …", "one function each"), ("ops", "matmul, …")]),
]
FILL = ["#e8eef7", "#e8eef7", "#e6f4ea", "#fff4e0", "#fff4e0", "#f3e8f7", "#f7e8e8"]


def text(x, y, size, words, weight="normal", colour="#222", anchor="middle"):
    return (
        f'<text x="{x:.0f}" y="{y:.0f}" font-size="{size}" font-weight="{weight}" fill="{colour}" '
        f'text-anchor="{anchor}">{words}</text>'
    )


def main():
    height = len(LAYERS) * (ROW + GAP) + 2 * GAP
    print(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif">')
    print("<title>The layers of gradus: a folder uses only folders below it</title>")
    print(f'<rect width="{WIDTH}" height="{height}" fill="white"/>')
    for place, (name, folders) in enumerate(LAYERS):
        y = GAP + place * (ROW + GAP)
        print(text(LEFT, y + ROW / 2 + 5, 15, name, "bold", "#555", "start"))
        width = (WIDTH - INDENT - LEFT - GAP * (len(folders) - 1)) / len(folders)
        for column, (folder, purpose) in enumerate(folders):
            x = INDENT + column * (width + GAP)
            print(
                f'<rect x="{x:.0f}" y="{y}" width="{width:.0f}" height="{ROW}" rx="6" fill="{FILL[place]}" stroke="#999"/>'
            )
            root = "shaders" if name == "shaders" else "src"
            print(text(x + width / 2, y + 30, 14, f"{root}/{folder}", "bold"))
            print(text(x + width / 2, y + 53, 12.5, purpose, "normal", "#444"))
    print("</svg>")


if __name__ == "__main__":
    main()
