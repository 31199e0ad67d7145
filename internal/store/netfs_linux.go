package store

import "golang.org/x/sys/unix"

// onNetworkFileSystem reports whether the folder is on a file system that
// other machines may have mounted too, or whose locks and shared memory can't
// be trusted (statfs(2) has the numbers).
func onNetworkFileSystem(folder string) bool {
	var st unix.Statfs_t
	if err := unix.Statfs(folder, &st); err != nil {
		return false
	}
	switch uint32(st.Type) { //nolint:gosec // the magic numbers are 32 bits wide
	case unix.NFS_SUPER_MAGIC, unix.SMB_SUPER_MAGIC, unix.CIFS_SUPER_MAGIC, unix.SMB2_SUPER_MAGIC,
		unix.V9FS_MAGIC, unix.FUSE_SUPER_MAGIC, unix.CEPH_SUPER_MAGIC, unix.AFS_FS_MAGIC:
		return true
	}
	return false
}
