// swift-tools-version: 6.2
// A `hark` with functions that do nothing: what the benchmarks run.
import PackageDescription

let package = Package(
    name: "hark-bench",
    dependencies: [.package(name: "hark", path: "..")],
    targets: [.executableTarget(name: "hark-bench", dependencies: [.product(name: "HarkCLI", package: "hark"), .product(name: "Hark", package: "hark")])]
)
