#include "unpatched_calls.hpp"

#include <unordered_map>

namespace weft::services {
namespace {

constexpr unpatched_class classes[] = {
    {"wide stdin", unpatched_kind::blocks,
     "read standard input inside libc, through buffers that can't be seen; wait with poll before, or read bytes",
     R"(
        getwchar getwchar_unlocked wscanf vwscanf __isoc99_wscanf __isoc99_vwscanf
        __isoc23_wscanf __isoc23_vwscanf getpass)"},

    {"wide stdio", unpatched_kind::by_stream,
     "read and written inside libc, through buffers that can't be seen; wait with poll before, or read bytes",
     R"(
        fgetws fgetws_unlocked __fgetws_chk __fgetws_unlocked_chk
        fgetwc fgetwc_unlocked getwc getwc_unlocked __wuflow __wunderflow
        fwscanf vfwscanf __isoc99_fwscanf __isoc99_vfwscanf __isoc23_fwscanf __isoc23_vfwscanf
        _IO_sgetn _IO_getline fgetpwent fgetpwent_r fgetgrent fgetgrent_r fgetspent fgetspent_r
        fgetsgent fgetsgent_r)"},

    {"output", unpatched_kind::passes,
     "write inside libc; they wait only while the reader of a pipe or terminal, or the log daemon, does not keep up",
     R"(
        _IO_flush_all fcloseall _IO_flush_all_linebuffered _flushlbf
        fputws fputws_unlocked fputwc fputwc_unlocked putwc putwc_unlocked putwchar putwchar_unlocked __woverflow
        wprintf vwprintf fwprintf vfwprintf __wprintf_chk __vwprintf_chk __fwprintf_chk __vfwprintf_chk
        flockfile _IO_flockfile perror psignal psiginfo herror error error_at_line warn warnx vwarn vwarnx
        fmtmsg putpwent putgrent putspent putsgent addmntent
        syslog vsyslog __syslog_chk __vsyslog_chk)"},

    {"file system", unpatched_kind::passes, "wait for the disk, not for a peer", R"(
        open_by_handle_at name_to_handle_at
        fopen fopen64 _IO_fopen freopen freopen64 tmpfile tmpfile64
        mkstemp mkstemp64 mkstemps mkstemps64 mkostemp mkostemp64 mkostemps mkostemps64
        sync_file_range copy_file_range
        fallocate fallocate64 posix_fallocate posix_fallocate64 readahead
        truncate truncate64 ftruncate ftruncate64
        opendir readdir readdir64 readdir_r readdir64_r getdents64 getdirentries getdirentries64
        scandir scandir64 scandirat scandirat64 glob glob64
        ftw ftw64 nftw nftw64 fts_open fts_read fts_children fts64_open fts64_read fts64_children
        stat stat64 lstat lstat64 fstatat fstatat64 statx __xstat __xstat64 __lxstat __lxstat64
        __fxstatat __fxstatat64 statfs statfs64 statvfs statvfs64 access faccessat euidaccess eaccess
        readlink readlinkat __readlink_chk __readlinkat_chk realpath __realpath_chk canonicalize_file_name
        rename renameat renameat2 link linkat symlink symlinkat unlink unlinkat remove
        mkdir mkdirat mkdtemp rmdir mkfifo mkfifoat mknod mknodat
        chmod fchmodat lchmod chown lchown fchownat utime utimes lutimes futimesat utimensat
        getxattr lgetxattr setxattr lsetxattr listxattr llistxattr removexattr lremovexattr
        getfsent getfsfile getfsspec getttyent getttynam getusershell getdate getdate_r
        mount umount umount2 swapon swapoff getmntent getmntent_r __getmntent_r
        getutent getutid getutline getutent_r getutid_r getutline_r pututline
        getutxent getutxid getutxline pututxline updwtmp updwtmpx login logout logwtmp getlogin getlogin_r)"},

    {"accounts", unpatched_kind::passes,
     "ask files under /etc, or the services that nsswitch.conf names (sssd, LDAP)", R"(
        getpwnam getpwnam_r getpwuid getpwuid_r getpwent getpwent_r getpw
        getgrnam getgrnam_r getgrgid getgrgid_r getgrent getgrent_r getgrouplist initgroups
        getspnam getspnam_r getspent getspent_r getsgnam getsgnam_r getsgent getsgent_r
        getservbyname getservbyname_r getservbyport getservbyport_r getservent getservent_r
        getprotobyname getprotobyname_r getprotobynumber getprotobynumber_r getprotoent getprotoent_r
        getrpcbyname getrpcbyname_r getrpcbynumber getrpcbynumber_r getrpcent getrpcent_r
        getaliasbyname getaliasbyname_r getaliasent getaliasent_r
        innetgr setnetgrent getnetgrent getnetgrent_r ether_hostton ether_ntohost)"},

    {"spinning", unpatched_kind::passes,
     "never sleep; a fiber that waits while it holds the lock makes others of its worker spin for ever",
     "pthread_spin_lock pthread_yield"},

    {"databases", unpatched_kind::blocks, "ask name servers, or wait for other processes, inside libc", R"(
        getnetbyname getnetbyname_r getnetbyaddr getnetbyaddr_r getnetent getnetent_r
        gethostent gethostent_r res_gethostbyname res_gethostbyname2 res_gethostbyaddr gethostid lckpwdf)"},

    {"terminals", unpatched_kind::blocks, "wait until the terminal has taken what was written", R"(
        tcdrain tcsendbreak)"},

    {"remote calls", unpatched_kind::blocks, "old network protocols inside libc", R"(
        callrpc clnt_create clnttcp_create clntudp_create clntudp_bufcreate clntunix_create clnt_broadcast
        pmap_getmaps pmap_getport pmap_rmtcall pmap_set pmap_unset registerrpc svc_run getrpcport rtime
        rcmd rcmd_af rexec rexec_af ruserok ruserok_af)"},

    {"kernel log", unpatched_kind::blocks, "waits for the kernel's messages", "klogctl"},

    {"commands", unpatched_kind::blocks, "starts a shell inside libc, and waits for it", "wordexp"},
};

using class_map = std::unordered_map<std::string_view, unpatched_class const*>;

class_map index_classes() {
    class_map index;
    constexpr std::string_view space = " \n";
    for (unpatched_class const& each : classes) {
        std::string_view rest = each.calls;
        for (std::size_t start = 0; (start = rest.find_first_not_of(space)) != std::string_view::npos;) {
            rest.remove_prefix(start);
            std::string_view const name = rest.substr(0, rest.find_first_of(space));
            index.emplace(name, &each);
            rest.remove_prefix(name.size());
        }
    }
    return index;
}

} // namespace

unpatched_class const* find_unpatched(std::string_view name) {
    static class_map const index = index_classes();
    auto const place = index.find(name);
    return place != index.end() ? place->second : nullptr;
}

unpatched_class const& standard_input() { return classes[0]; }

} // namespace weft::services
