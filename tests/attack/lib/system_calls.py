"""Text for programs that run in a sandbox: system calls by number, past what Python's own functions allow.

`native` calls as a 64-bit program; `compatible` as a 32-bit one would, in the same process, which is how a filter that
only knows one set of numbers is passed by. Both return `(result, error number)`. x86-64 only.
"""

PROGRAM = """
import ctypes, mmap
libc = ctypes.CDLL(None, use_errno=True)

def native(number, *arguments):
    ctypes.set_errno(0)
    result = libc.syscall(*[ctypes.c_long(value) for value in (number, *arguments)])
    return result, ctypes.get_errno()

def compatible(number, first=0, second=0, third=0):
    code = b"\\x53"  # push rbx
    for instruction, value in ((b"\\xb8", number), (b"\\xbb", first), (b"\\xb9", second), (b"\\xba", third)):
        code += instruction + value.to_bytes(4, "little")
    page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    page.write(code + b"\\xcd\\x80\\x5b\\xc3")  # int 0x80; pop rbx; ret
    call = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))
    result = call()
    return (-1, -result) if -4096 < result < 0 else (result, 0)

def low_memory(data):
    # where a 32-bit pointer reaches: MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT
    page = mmap.mmap(-1, 4096, flags=0x62, prot=mmap.PROT_READ | mmap.PROT_WRITE)
    page.write(data)
    low_memory.kept = page
    return ctypes.addressof(ctypes.c_char.from_buffer(page))
"""
