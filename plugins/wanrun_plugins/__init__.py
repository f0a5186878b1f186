"""The plugins that come with wanrun, found through entry points like anybody's."""
