import { execFile } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

/** A throw-away authority with a certificate of a server, which names no host, and one of a client. All are PEM. */
export interface Certificates {
  readonly ca: string;
  readonly server: { readonly certPath: string; readonly keyPath: string; readonly caPath: string };
  readonly client: { readonly cert: string; readonly key: string };
}

/** Makes them in a folder. Needs openssl. */
export async function makeCertificates(folder: string, prefix: string): Promise<Certificates> {
  const at = (name: string): string => join(folder, `${prefix}-${name}.pem`);
  await writeFile(at("config"), "[req]\ndistinguished_name=dn\n[dn]\n");
  const make = async (name: string, signed: boolean): Promise<void> => {
    const signer = signed
      ? ["-CA", at("ca"), "-CAkey", at("ca-key")]
      : ["-addext", "basicConstraints=critical,CA:TRUE"];
    await run("openssl", [
      ...["req", "-x509", "-config", at("config"), "-subj", `/CN=${prefix} ${name}`, "-days", "2", "-newkey", "ec"],
      ...["-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", at(`${name}-key`), "-out", at(name)],
      ...signer,
    ]);
  };
  await make("ca", false);
  await make("server", true);
  await make("client", true);
  return {
    ca: await readFile(at("ca"), "utf8"),
    server: { certPath: at("server"), keyPath: at("server-key"), caPath: at("ca") },
    client: { cert: await readFile(at("client"), "utf8"), key: await readFile(at("client-key"), "utf8") },
  };
}
