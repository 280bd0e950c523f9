// Reads a list of objects (JSON) on standard input; one line for each thing wrong with one. Runs the validator of its
// kind, then TypeScript over it as a literal of its kind's type: that finds fields that the kind does not have.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const packages = {
  "gateway.envoyproxy.io": "envoy-gateway",
  "gateway.networking.k8s.io": "gateway-api",
  "karpenter.k8s.aws": "karpenter",
  "karpenter.sh": "karpenter",
  "keda.sh": "keda",
  "monitoring.coreos.com": "prometheus-operator",
};
const problems = [];
const literals = [];
const objects = JSON.parse(readFileSync(0, "utf8"));
for (const [index, { from, object }] of objects.entries()) {
  const { apiVersion, kind, metadata } = object;
  const [group] = apiVersion.split("/");
  const place = `@kubernetes-models/${packages[group]}/${apiVersion}/${kind}`;
  const Model = (await import(place))[kind];
  try {
    new Model(object).validate();
  } catch (error) {
    problems.push(`${from}: ${kind} ${metadata.name}: ${error.message}`);
  }
  literals.push(`// ${from}: ${kind} ${metadata.name}`);
  literals.push(`import type { I${kind} as T${index} } from "${place}";`);
  literals.push(`export const object${index}: T${index} = ${JSON.stringify(object, null, 1)};`);
}

const here = import.meta.dirname;
const folder = mkdtempSync(join(here, "check-"));
try {
  const file = join(folder, "objects.ts");
  writeFileSync(file, literals.join("\n"));
  const compiler = join(here, "node_modules/typescript/bin/tsc");
  const flags = ["--noEmit", "--strict", "--skipLibCheck", "--module", "nodenext", "--pretty", "false"];
  const done = spawnSync(process.execPath, [compiler, ...flags, file], { encoding: "utf8" });
  problems.push(...done.stdout.split("\n").filter((line) => line.includes("error TS")));
  if (done.status !== 0 && problems.length === 0) problems.push(done.stdout + done.stderr);
} finally {
  rmSync(folder, { recursive: true });
}
if (problems.length) console.log(problems.join("\n"));
