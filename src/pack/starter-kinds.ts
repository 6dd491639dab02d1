/** The starters besides the plain service: a web folder, a service in Python, settings that people edit. Pure. See starter.ts. */

export interface StarterFile {
  /** Below the folder, "/" between components. */
  readonly path: string;
  readonly mode: number;
  readonly text: string;
}

/** A web folder whose uploads are the user's. */
export const webFiles: readonly StarterFile[] = [
  {
    path: 'manifest.json',
    mode: 0o644,
    text: `{
  "version": "1.0.0",
  "modules": [
    {
      // The folder on the device gets what is in modules/web; files that an update brought and the next one does not have, go.
      "name": "web",
      "src": "modules/web",
      "dst": "/opt/tope/web",

      // What users put there is theirs: never replaced, never removed. Patterns of paths below dst.
      "keep": ["uploads/**"],

      // Stays where somebody has edited it; the new one is put beside it as config.json.new.
      "config": ["config.json"]
    }
  ]
}
`,
  },
  {
    path: 'modules/web/index.html',
    mode: 0o644,
    text: '<!doctype html>\n<title>Hello</title>\n<h1>Hello from version 1.0.0</h1>\n',
  },
  { path: 'modules/web/config.json', mode: 0o644, text: '{ "theme": "light" }\n' },
  { path: 'modules/web/uploads/README.txt', mode: 0o644, text: 'Uploads go here.\n' },
];

/** A service in Python whose dependencies come in the package. */
export const pythonFiles: readonly StarterFile[] = [
  {
    path: 'manifest.json',
    mode: 0o644,
    text: `{
  "version": "1.0.0",
  "modules": [
    {
      "name": "hello-py",
      "src": "modules/hello-py",
      "dst": "/opt/tope/hello-py",

      // What it imports lies in lib/: put there on the PC, so that the device needs neither pip nor a network, and renewed and
      // undone with the rest. For each version, in this folder:
      //   rm -rf modules/hello-py/lib
      //   python3 -m pip install --no-compile --target modules/hello-py/lib -r requirements.txt
      // The process is found by its script, and started so where none runs. "service": "hello-py.service" names a systemd unit instead.
      "process_name": "hello.py",
      "start": ["/usr/bin/env", "PYTHONPATH=/opt/tope/hello-py/lib", "python3", "/opt/tope/hello-py/hello.py"],
      "restart_order": 1
    }
  ]
}
`,
  },
  {
    path: 'modules/hello-py/hello.py',
    mode: 0o644,
    text: `import sys
import time

print("Hello from version 1.0.0, Python", sys.version.split()[0], flush=True)
while True:
    time.sleep(60)
`,
  },
];

/** Settings that people edit. */
export const configFiles: readonly StarterFile[] = [
  {
    path: 'manifest.json',
    mode: 0o644,
    text: `{
  "version": "1.0.0",
  "modules": [
    {
      // A file that people edit: an edited one stays, and the new one is put beside it as printer.cfg.new.
      "name": "printer-cfg",
      "src": "modules/printer.cfg",
      "dst": "/opt/tope/config/printer.cfg",
      "config": true
    },
    {
      // A folder of which some files are edited, and some only ever made by the user.
      "name": "macros",
      "src": "modules/macros",
      "dst": "/opt/tope/config/macros",
      "config": ["*.cfg"],
      "keep": ["own/**"]
    }
  ]
}
`,
  },
  { path: 'modules/printer.cfg', mode: 0o644, text: '[printer]\nkinematics: corexy\nmax_velocity: 300\n' },
  { path: 'modules/macros/start.cfg', mode: 0o644, text: '[gcode_macro START]\ngcode: G28\n' },
  {
    path: 'modules/macros/own/README.txt',
    mode: 0o644,
    text: 'Own macros go here; no update touches them.\n',
  },
];
