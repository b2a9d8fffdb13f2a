// A git server with passwords inside a sandbox, and repositories on it.
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import type { Sandbox } from 'daytonaio-0.185.0'
import { eventually, read, word } from './harness.js'

const program = join(import.meta.dirname, '../../../git_server.py') // from node_modules/.flows
const port = 8418
const seed = `set -e
git init -q -b main seed; cd seed
git config user.name Seed; git config user.email seed@example.com
echo hello >README.md; git add .; git commit -q -m First
echo again >>README.md; git commit -q -a -m Second
git checkout -q -b develop; echo develop >develop.txt; git add .; git commit -q -m Develop
git checkout -q main; git rev-parse main~1`

/** Serves what lies under one directory of the sandbox to one user. */
export class Server {
  readonly root = `/tmp/${word()}`
  readonly username = 'git'
  readonly password = randomBytes(12).toString('hex')
  first = '' // the oldest commit of every repository

  private constructor(private readonly sandbox: Sandbox) {}

  static async started(sandbox: Sandbox): Promise<Server> {
    const server = new Server(sandbox)
    const { root, username, password } = server
    await sandbox.fs.uploadFile(program, `${root}/server.py`)
    server.first = (await read(sandbox, seed, root)).trim()
    await read(sandbox, `nohup python3 server.py ${port} ${root} ${username} ${password} >log 2>&1 &`, root)
    await eventually(async () => void (await read(sandbox, `curl -so /dev/null localhost:${port}`)), 60)
    return server
  }

  /** A bare repository with two commits on `main` and one more on `develop`. */
  async repository() {
    const directory = `${this.root}/${word()}.git`
    const setting = `git -C ${directory} config http.receivepack true`
    await read(this.sandbox, `git clone -q --bare seed ${directory} && ${setting}`, this.root)
    return {
      directory,
      url: `http://localhost:${port}${directory.slice(this.root.length)}`,
      /** The commit of a branch, as it lies on the server. */
      head: async (branch: string) => (await read(this.sandbox, `git -C ${directory} rev-parse ${branch}`)).trim(),
    }
  }
}
